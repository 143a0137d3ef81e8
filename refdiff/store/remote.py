"""A store read in place from a bucket, without a copy (obstore: `pip install -e '.[s3]'`).

Credentials, region and endpoint come from the environment, as for every S3 client: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL; AWS_SKIP_SIGNATURE=true for a public bucket.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import ArtifactMissingError, ShardCorruptError, StoreError
from refdiff.store.byte_source import MAX_FILE_BYTES

_TRIES = 3


class RemoteSource:
    """A store behind an address such as `s3://bucket/prefix/paper.zarr`; see `ByteSource`.

    Attributes:
        where: The address.
    """

    def __init__(self, address: str) -> None:
        """Name the store; nothing is asked of the server yet.

        Raises:
            StoreError: obstore is not installed, or the address or the environment does not fit.
        """
        self.where = address.rstrip("/")
        try:
            import obstore
            from obstore.exceptions import BaseError
        except ImportError as error:
            raise StoreError(f"{address}: reading a bucket needs obstore; run `pip install -e '.[s3]'`") from error
        self._client: Any = obstore
        self._error: Any = BaseError
        try:
            self._store = obstore.store.from_url(
                self.where,
                retry_config={"max_retries": _TRIES},
                client_options={"allow_http": os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")},
            )
        except (BaseError, ValueError) as error:
            raise StoreError(f"{address}: cannot be opened ({_reason(error)}); correct the address") from error

    def names(self) -> dict[str, int | None]:
        """Every object below the address, and its size; one request for a thousand objects.

        Raises:
            ArtifactMissingError: There is none.
            StoreError: The server cannot be reached or refuses.
        """
        try:
            found = {entry["path"]: int(entry["size"]) for page in self._store.list() for entry in page}
        except (self._error, OSError) as error:
            raise StoreError(
                f"{self.where}: cannot be listed ({_reason(error)}); check the address, the credentials and "
                "AWS_ENDPOINT_URL"
            ) from error
        if not found:
            raise ArtifactMissingError(f"{self.where}: nothing there; correct the address")
        return dict(found)

    def size(self, name: str) -> int | None:
        """Bytes of an object; None where there is none.

        Raises:
            StoreError: The server cannot be reached or refuses.
        """
        try:
            with self._asking(name):
                return int(self._store.head(name)["size"])
        except ShardCorruptError:
            return None

    def read(self, name: str) -> bytes:
        """An object's bytes, in one request.

        Raises:
            ShardCorruptError: It is not there, or larger than what refdiff makes.
            StoreError: The server cannot be reached or refuses.
        """
        with self._asking(name):
            answer = self._store.get(name)
            if answer.meta["size"] > MAX_FILE_BYTES:
                raise ShardCorruptError(f"{self.where}/{name}: expected at most {MAX_FILE_BYTES} bytes")
            return answer.bytes().to_bytes()

    def read_end(self, name: str, length: int) -> bytes:
        """The last bytes of an object, in one request; errors as `read`."""
        with self._asking(name):
            return self._store.get(name, options={"range": {"suffix": length}}).bytes().to_bytes()

    def read_into(self, name: str, pieces: Iterable[tuple[int, NDArray[np.uint8]]]) -> Iterator[int]:
        """Stretches of an object; neighbours share a request. Errors as `read`."""
        wanted = list(pieces)
        if not wanted:
            return
        with self._asking(name):
            found = self._store.get_ranges(
                name, starts=[first for first, _ in wanted], lengths=[memory.size for _, memory in wanted]
            )
        for content, (_, memory) in zip(found, wanted, strict=True):
            memory[: len(content)] = np.frombuffer(memoryview(content), np.uint8)
            yield len(content)

    @contextmanager
    def _asking(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ShardCorruptError(f"{self.where}/{name}: is not there; push the store again") from error
        except (self._error, OSError) as error:
            if isinstance(error, ShardCorruptError):
                raise
            raise StoreError(f"{self.where}/{name}: cannot be read ({_reason(error)}); try again") from error


def _reason(error: BaseException) -> str:
    return ascii(" ".join(str(error).split()))[1:-1][:200]
