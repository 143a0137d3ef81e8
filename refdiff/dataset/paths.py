"""Files that a dataset names: never outside its folder."""

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from refdiff.dataset.fields import show
from refdiff.errors import PathOutsideError

LinkRule = Literal["refuse", "follow"]


def join_inside(folder: Path, name: str, links: LinkRule, where: str) -> Path:
    """The path of `name` below `folder`.

    Args:
        folder: The dataset's folder, as in the parameters; it may itself be a link.
        name: A relative path that the dataset gives.
        links: Whether links below the folder may lead out of it.
        where: What messages call the record.

    Raises:
        PathOutsideError: The name is absolute, goes up, or is a link that leaves the folder.
    """
    parts = PurePosixPath(name).parts
    windows = PureWindowsPath(name)
    if not parts or ".." in parts or ".." in windows.parts or windows.drive or windows.root or "\0" in name:
        raise PathOutsideError(
            f"{where}: file name {show(name)} leaves the folder; expected a relative path inside {folder}; correct it"
        )
    path = folder.joinpath(*parts)
    if links == "refuse" and not _resolve(path, where).is_relative_to(_resolve(folder, where)):
        raise PathOutsideError(
            f"{where}: file {show(name)} is a link out of the folder; expected a file inside {folder}; put the file "
            "there, or set prepare_dataset.links_outside: follow"
        )
    return path


def _resolve(path: Path, where: str) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise PathOutsideError(f"{where}: path {show(str(path))} cannot be resolved ({error}); correct it") from error
