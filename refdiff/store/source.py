"""Bytes of a store by name, wherever it lies: the one way in which stores are inspected."""

import os
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Protocol

from refdiff.errors import ArtifactMissingError, ShardCorruptError, StoreError

# A shard is read whole; what is larger than this was not made by refdiff.
MAX_FILE_BYTES = 1 << 30


class ByteSource(Protocol):
    """Files of one store.

    Attributes:
        where: The store, for messages.
    """

    where: str

    def names(self) -> Mapping[str, int | None]:
        """Size in bytes of every file, by name relative to the store; None for what is no regular file.

        Raises:
            StoreError: The store cannot be listed, or is not there.
        """
        ...

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            ShardCorruptError: It is not there or cannot be read.
        """
        ...


class LocalSource:
    """A store in a folder.

    Files may be symbolic links, as DVC's cache makes them; a folder that is a link leads somewhere else and does not
    belong to the store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = str(folder)

    def names(self) -> dict[str, int | None]:
        """See `ByteSource`."""
        if not self.folder.is_dir():
            raise ArtifactMissingError(f"{self.folder}: not there; expected the folder of a store; correct the path")
        sizes: dict[str, int | None] = {}
        for folder, folders, files in os.walk(self.folder, onerror=_refuse):
            here = Path(folder)
            links = [name for name in folders if (here / name).is_symlink()]
            for name in (*files, *links):
                path = here / name
                sizes[path.relative_to(self.folder).as_posix()] = _size_of(path)
        return sizes

    def read(self, name: str) -> bytes:
        """See `ByteSource`."""
        path = self.folder / name
        size = _size_of(path)
        if size is None or size > MAX_FILE_BYTES:
            raise ShardCorruptError(f"{path}: expected a regular file of at most {MAX_FILE_BYTES} bytes")
        try:
            return path.read_bytes()
        except OSError as error:
            raise ShardCorruptError(f"{path}: cannot be read ({error.strerror}); correct its permissions") from error


def _size_of(path: Path) -> int | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if S_ISREG(status.st_mode) else None


def _refuse(error: OSError) -> None:
    raise StoreError(f"{error.filename}: cannot be listed ({error.strerror}); correct its permissions") from error
