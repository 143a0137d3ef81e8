"""Files that are written whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refdiff.errors import OutputError


def partial_name(path: Path) -> Path:
    """The temporary name beside a file under which it is written."""
    return path.with_name(path.name + ".partial")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; what the block wrote there takes the place of `path` when it ends.

    A block that fails leaves `path` as it was, and nothing beside it.

    Args:
        path: The file; its folder is there.

    Raises:
        OSError: It cannot be written.
    """
    partial = partial_name(path)
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, then rename it.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        with replacing(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); make room or choose another place"
        ) from error
