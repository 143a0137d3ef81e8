"""Files that a dataset names: never outside its folder, and never fetched."""

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from refdiff.dataset.fields import show
from refdiff.errors import DatasetError, PathOutsideError

LinkRule = Literal["refuse", "follow"]

# The address of a page, a bucket or a file, or a photo as text; a letter and a colon are a disk of Windows.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:")


def join_inside(folder: Path, name: str, links: LinkRule, where: str) -> Path:
    """The path of `name` below `folder`.

    Args:
        folder: The dataset's folder, as in the parameters; it may itself be a link.
        name: A relative path that the dataset gives.
        links: Whether links below the folder may lead out of it.
        where: What messages call the record.

    Raises:
        DatasetError: The name is an address, or has another system's separators.
        PathOutsideError: The name is absolute, goes up, or is a link that leaves the folder.
    """
    if _ADDRESS.match(name):
        raise DatasetError(
            f"{where}: {show(name)} is an address; expected the name of a file inside {folder}, as nothing is fetched; "
            "fetch it, and give the file's name"
        )
    parts = PurePosixPath(name).parts
    windows = PureWindowsPath(name)
    if not parts or ".." in parts or ".." in windows.parts or windows.drive or windows.root or "\0" in name:
        raise PathOutsideError(
            f"{where}: file name {show(name)} is empty, absolute or leaves the folder; expected a relative path inside "
            f"{folder}; correct it"
        )
    path = folder.joinpath(*parts)
    if "\\" in name and not os.path.lexists(path):
        raise DatasetError(
            f"{where}: file name {show(name)} has a backslash, which separates no folders here; expected / between "
            f"them; write {show(windows.as_posix())}"
        )
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
