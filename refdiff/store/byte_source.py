"""Where a store's bytes come from: the one small interface through which stores are read and inspected."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import ArtifactMissingError, ShardCorruptError, StoreError, is_absent, translate_read_errors

# Files are read whole by the tools; what is larger than this was not made by refdiff.
MAX_FILE_BYTES = 1 << 30


class ByteSource(Protocol):
    """Files of one store, by their names relative to it.

    Reading raises `ShardCorruptError` for what is no regular file. One that is there and cannot be read is not damaged:
    reading it, and asking for its size, raises another `StoreError`, of a local file `UnreadableError`.

    Attributes:
        where: The store, for messages.
    """

    where: str

    def names(self) -> Mapping[str, int | None]:
        """Size in bytes of every file, by name; None for what is no regular file.

        Raises:
            StoreError: The store cannot be listed, or a file of it looked at, or it is not there.
        """
        ...

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is no regular file."""
        ...

    def read(self, name: str) -> bytes:
        """All bytes of a file, at most `MAX_FILE_BYTES`."""
        ...

    def read_end(self, name: str, length: int) -> bytes:
        """The last `length` bytes of a file; all of it where it is shorter."""
        ...

    def read_into(self, name: str, pieces: Iterable[tuple[int, NDArray[np.uint8]]]) -> Iterator[int]:
        """Read stretches of a file one after the other, each when it is asked for.

        Args:
            name: The file.
            pieces: For each its first byte in the file, and the memory that is filled. The memory of one may overlap
                with that of the one before, which has been read and used by then.

        Yields:
            Bytes that were read: fewer than there is room for where the file ends.
        """
        ...


class LocalFolder:
    """A store in a folder of this machine.

    Files may be symbolic links, as DVC's cache makes them; a folder that is a link leads somewhere else and does not
    belong to the store. Files are read and not mapped: one that another process cuts is short, and ends no process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = str(folder)

    def names(self) -> dict[str, int | None]:
        """See `ByteSource`."""
        with translate_read_errors(self.folder):
            is_there = self.folder.is_dir()
        if not is_there:
            raise ArtifactMissingError(f"{self.folder}: not there; expected the folder of a store; correct the path")
        sizes: dict[str, int | None] = {}
        for folder, folders, files in os.walk(self.folder, onerror=_refuse):
            here = Path(folder)
            with translate_read_errors(here):
                links = [name for name in folders if (here / name).is_symlink()]
            for name in (*files, *links):
                found = (here / name).relative_to(self.folder).as_posix()
                sizes[found] = self.size(found)
        return sizes

    def size(self, name: str) -> int | None:
        """See `ByteSource`."""
        path = Path(self.where, name)
        try:
            with translate_read_errors(path):
                status = path.stat()
        except OSError as error:
            if is_absent(error):
                return None
            raise
        except ValueError:  # a name that no file has
            return None
        return status.st_size if S_ISREG(status.st_mode) else None

    def read(self, name: str) -> bytes:
        """See `ByteSource`."""
        size = self.size(name)
        if size is None or size > MAX_FILE_BYTES:
            raise ShardCorruptError(
                f"{self.where}/{name}: expected a regular file of at most {MAX_FILE_BYTES} bytes; make it again"
            )
        with self._open(name) as handle, open(handle, "rb", closefd=False) as file:
            return file.read()

    def read_end(self, name: str, length: int) -> bytes:
        """See `ByteSource`."""
        with self._open(name) as handle:
            return os.pread(handle, length, max(0, os.fstat(handle).st_size - length))

    def read_into(self, name: str, pieces: Iterable[tuple[int, NDArray[np.uint8]]]) -> Iterator[int]:
        """See `ByteSource`; no byte is read but those."""
        read = os.preadv
        with self._open(name) as handle:
            for first, memory in pieces:
                yield read(handle, (memory,), first)  # pyright: ignore[reportArgumentType] an array is a buffer

    @contextmanager
    def _open(self, name: str) -> Iterator[int]:
        """A file's handle."""
        path = f"{self.where}/{name}"
        try:
            with translate_read_errors(path):
                handle = os.open(path, os.O_RDONLY)
                try:
                    yield handle
                finally:
                    os.close(handle)
        except OSError as error:
            if not is_absent(error):
                raise
            raise ShardCorruptError(f"{path}: cannot be read ({error.strerror}); see to it or make it again") from error


def _refuse(error: OSError) -> None:
    raise StoreError(f"{error.filename}: cannot be listed ({error.strerror}); correct its permissions") from error
