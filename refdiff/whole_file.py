"""Files that are written whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
