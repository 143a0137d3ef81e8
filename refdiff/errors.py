"""The project's errors: one tree, whose leaves are builtin kinds too.

A message reads `where: what is wrong; expected ..., got ...; what to do`, on one line. A user's mistake ends a
command with that line and exit code 2 (see `refdiff.command`), never with a traceback.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

# What an error says of a path itself: there is no such regular file.
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


class RefdiffError(Exception):
    """Anything that refdiff refuses, with a message made for a person.

    What the message cites may come from a stranger: characters that are not printable are escaped, so that it stays on
    its line and moves no terminal's cursor.
    """

    def __str__(self) -> str:
        return escape(super().__str__())


class ParameterError(RefdiffError, ValueError):
    """A parameter is unknown, of the wrong type or out of range."""


class DatasetError(RefdiffError, ValueError):
    """A dataset cannot be read as it is: a file is missing, broken, or does not fit its annotation."""


class _ListError(RefdiffError):
    """A message of several lines: what is wrong as a whole, then a line for each piece of it.

    Args:
        head: The first line.
        entries: The others, each complete in itself; the message holds `SHOWN` of them at most.

    Attributes:
        entries: All of them.
    """

    SHOWN: ClassVar[int] = 50

    def __init__(self, head: str, entries: Sequence[str]) -> None:
        self.entries = tuple(entries)
        more = [f"... and {len(entries) - self.SHOWN} more"] if len(entries) > self.SHOWN else []
        self._lines = (head, *(f"  {entry}" for entry in [*entries[: self.SHOWN], *more]))
        super().__init__("\n".join(self._lines))

    def __str__(self) -> str:
        return "\n".join(escape(line) for line in self._lines)


class ParametersError(_ListError, ParameterError):
    """Several parameters do not fit, or do not go together, reported at once."""


class DatasetFaultsError(_ListError, DatasetError):
    """Several faults of one dataset, reported together."""


class HostilePickleError(DatasetError):
    """A pickle holds something other than plain containers, strings and numbers; nothing in it was run."""


class PathOutsideError(DatasetError):
    """A dataset names a file outside its folder."""


class ImageError(DatasetError):
    """A photo cannot be decoded, or its size is not what its annotation says."""


class MaskError(RefdiffError, ValueError):
    """A mask has the wrong shape or type, or a run-length code does not decode."""


class DegenerateMaskError(MaskError):
    """A mask is empty or covers everything, where inside and outside are both needed."""


class TextError(RefdiffError, ValueError):
    """A sentence cannot be used, or a language model package is not there."""


class ModelError(RefdiffError, RuntimeError):
    """A model cannot be found or loaded, or is not of the kind that is needed."""


class ModelMissingError(ModelError):
    """A model is not on this machine; one that is fetched or put there may work."""


class OutputError(RefdiffError, OSError):
    """A result cannot be written where it was asked for."""


class StoreError(RefdiffError):
    """An artifact is missing, incomplete, or was made with other parameters or inputs."""


class StoreMismatchError(StoreError, ValueError):
    """An artifact's provenance does not fit what reads or continues it."""


class ShardCorruptError(StoreError, OSError):
    """A shard's content does not have the digest or checksum recorded for it."""


class UnreadableError(StoreError, OSError):
    """A file cannot be read now: a permission, a disk, a network file system, the limit of open files.

    That says nothing of its content, so nobody may take it for damaged or remove it.
    """


class ShardsFailedError(_ListError, StoreError):
    """Some shards of a store could not be computed; the others are done and kept. An entry is a shard with a reason."""

    SHOWN = 20


class FailingAlikeError(StoreError, RuntimeError):
    """The first shards of a run all failed with the same error, so that no other was tried."""


class ArtifactMissingError(StoreError, FileNotFoundError):
    """A file that an earlier stage makes is not there."""

    def __str__(self) -> str:
        """The message alone: FileNotFoundError would format it as an errno."""
        return escape(str(self.args[0]))


def list_faults(where: str, faults: list[str], advice: str) -> DatasetFaultsError:
    """An error with a line for each fault, and what to do about them."""
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return DatasetFaultsError(f"{where}: {count}; {advice}", faults)


def join_faults(where: str, faults: list[str], advice: str) -> DatasetError:
    """One fault as a line of its own, several as a list."""
    return DatasetError(f"{where}: {faults[0]}") if len(faults) == 1 else list_faults(where, faults, advice)


@contextmanager
def translate_read_errors(where: Path | str) -> Iterator[None]:
    """Turn what keeps a file from being read into one line.

    Args:
        where: The file; an error that names another one is of that.

    Raises:
        UnreadableError: It cannot be read now.
        OSError: There is no such regular file (see `is_absent`), as it came.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, RefdiffError) or is_absent(error):
            raise
        raise UnreadableError(
            f"{error.filename or where}: cannot be read ({error.strerror or error}); correct its permissions or see "
            "to its disk, and run the same command again"
        ) from error


def is_absent(error: OSError) -> bool:
    """Whether an error says that there is no such regular file; any other says that it cannot be read now."""
    return error.errno in _ABSENT


def escape(text: str) -> str:
    """A text on one line: characters that are not printable are escaped."""
    return text if text.isprintable() else "".join(char if char.isprintable() else f"{char!a}"[1:-1] for char in text)
