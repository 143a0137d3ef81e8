"""The project's errors: one tree, whose leaves are builtin kinds too.

A message reads `where: what is wrong; expected ..., got ...; what to do`, on one line. A user's mistake ends a
command with that line and exit code 2 (see `refdiff.command`), never with a traceback.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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
        entries: The others, each complete in itself.
        shown: How many of these the message holds at most.
    """

    def __init__(self, head: str, entries: Sequence[str], shown: int) -> None:
        more = [f"... and {len(entries) - shown} more"] if len(entries) > shown else []
        self._lines = (head, *(f"  {entry}" for entry in [*entries[:shown], *more]))
        super().__init__("\n".join(self._lines))

    def __str__(self) -> str:
        return "\n".join(escape(line) for line in self._lines)


class ParametersError(_ListError, ParameterError):
    """Several parameters do not fit, or do not go together, reported at once.

    Args:
        where: The parameter file.
        problems: One line for each, complete in itself.
        shown: How many lines the message holds at most; all are kept in `problems`.
    """

    def __init__(self, where: str, problems: Sequence[str], shown: int = 50) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{where}: {len(self.problems)} problems; correct them", self.problems, shown)


class DatasetFaultsError(_ListError, DatasetError):
    """Several faults of one dataset, reported together.

    Args:
        where: The dataset.
        faults: One line per fault, each complete in itself.
        advice: What to do about them.
        shown: How many lines the message holds at most; all are counted and kept in `faults`.
    """

    def __init__(self, where: str, faults: Sequence[str], advice: str, shown: int = 50) -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__(f"{where}: {count}; {advice}", self.faults, shown)


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
    """Some shards of a store could not be computed; the others are done and kept.

    Args:
        where: The work folder.
        shards: One line for each that failed: number, images, reason.
        total: Shards that were to be computed or were there.
        shown: How many lines the message holds at most; all are kept in `shards`.
    """

    def __init__(self, where: str, shards: Sequence[str], total: int, shown: int = 20) -> None:
        self.shards = tuple(shards)
        head = (
            f"{where}: {len(self.shards)} of {total} shards could not be computed, the others are done and kept; "
            "see to the reasons and run the same command again"
        )
        super().__init__(head, self.shards, shown)


class FailingAlikeError(StoreError, RuntimeError):
    """The first shards of a run all failed with the same error, so that no other was tried."""


class ArtifactMissingError(StoreError, FileNotFoundError):
    """A file that an earlier stage makes is not there."""

    def __str__(self) -> str:
        """The message alone: FileNotFoundError would format it as an errno."""
        return escape(str(self.args[0]))


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
