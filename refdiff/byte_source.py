"""Where a store's bytes come from: a tiny interface, so that a store can be read wherever it lies."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol


class ByteSource(Protocol):
    """Files of one store, by their names relative to it.

    Reading raises `FileNotFoundError` for a name that is not there, and `OSError` for one that cannot be read.
    """

    def describe(self, name: str) -> str:
        """What messages call the file."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none, for which nothing is raised."""
        ...

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        ...

    def read_end(self, name: str, length: int) -> bytes:
        """The last `length` bytes of a file; all of it where it is shorter."""
        ...

    def read_spans(self, name: str, spans: Sequence[tuple[int, int]]) -> Iterable[bytes]:
        """Stretches of a file in this order, given by first byte and length; shorter where the file ends."""
        ...


class LocalFolder:
    """A store in a folder of this machine.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def describe(self, name: str) -> str:
        """The file's path."""
        return str(self.path / name)

    def size(self, name: str) -> int | None:
        """Bytes of a file."""
        path = self.path / name
        return path.stat().st_size if path.is_file() else None

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        return (self.path / name).read_bytes()

    def read_end(self, name: str, length: int) -> bytes:
        """The last bytes of a file."""
        with (self.path / name).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - length))
            return file.read()

    def read_spans(self, name: str, spans: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Stretches of a file, read when they are asked for; no byte is read but those."""
        with (self.path / name).open("rb", buffering=0) as file:
            handle = file.fileno()
            for first, length in spans:
                yield os.pread(handle, length, first)
