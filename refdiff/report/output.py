"""Results for people (pages, pictures, tables): written whole, or refused in one line."""

import io
import os
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.errors import OutputError
from refdiff.whole_file import partial_name, write_whole

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MASKS = {".png": "PNG"}


STANDARD_OUTPUT = ("standard output", 1)
"""It may be a file, to which the shell sends what a command prints."""

Named = Sequence[tuple[str, Path | int]]
"""Files, or numbers of open ones, each with what messages call it."""


def check_outputs(outputs: Named, inputs: Named) -> None:
    """Refuse an output that is an input or another output, by whatever path or link, before anything is computed.

    Args:
        outputs: Files that a command writes.
        inputs: Files that it reads.

    Raises:
        OutputError: Two of them are one file, or would be where capitals do not count in names.
    """
    for place, (name, path) in enumerate(outputs):
        for other, there in inputs:
            if _is_same(path, there) or (isinstance(path, Path) and _is_same(partial_name(path), there)):
                _refuse_same(name, path, other, there)
        for other, there in outputs[:place]:
            if _is_same(path, there) or _is_spelt_alike(path, there):
                _refuse_same(name, path, other, there)


def check_picture_path(path: Path, formats: dict[str, str]) -> None:
    """Refuse a path that no picture can be written to, before anything is computed.

    Args:
        path: Where the picture goes.
        formats: Endings that are possible.

    Raises:
        OutputError: Its ending is unknown, its folder is not there or cannot be written to, or it is a folder.
    """
    if path.suffix.lower() not in formats:
        raise OutputError(f"{path}: cannot tell the format; expected a name that ends in {', '.join(formats)}")
    if not path.parent.is_dir():
        raise OutputError(
            f"{path}: cannot be written, the folder {path.parent} is not there; make it or correct the name"
        )
    check_file_path(path)


def check_file_path(path: Path) -> None:
    """Refuse a path that no file can be written to; folders on the way may be missing.

    Raises:
        OutputError: It is a folder, what should be a folder is a file, or a folder is write-protected.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; expected the name of a file")
    folder = next(each for each in path.parents if each.exists())
    if not folder.is_dir():
        raise OutputError(f"{path}: cannot be written, {folder} is a file; expected a folder; choose another")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path}: cannot be written, the folder {folder} is write-protected; choose another")


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write RGB uint8 `[H W 3]` or grey uint8 `[H W]` in the format of the path's ending.

    Raises:
        OutputError: It cannot be written.
    """
    stream = io.BytesIO()
    try:
        Image.fromarray(pixels).save(stream, format=PICTURES[path.suffix.lower()])
    except (OSError, ValueError) as error:  # sides beyond what JPEG or WebP can hold
        height, width = pixels.shape[:2]
        raise OutputError(
            f"{path}: {height} x {width} pixels cannot be written in this format ({error}); choose .png"
        ) from error
    write_whole(path, stream.getvalue())


def _is_same(one: Path | int, other: Path | int) -> bool:
    with suppress(OSError):  # one that is not there yet
        return os.path.samefile(one, other)  # noqa: PTH121 for numbers of open files too
    return isinstance(one, Path) and isinstance(other, Path) and os.path.realpath(one) == os.path.realpath(other)


def _is_spelt_alike(one: Path | int, other: Path | int) -> bool:
    """Whether two names, not both there yet, are one where capitals or the composition of accents do not count."""
    if not isinstance(one, Path) or not isinstance(other, Path) or (one.exists() and other.exists()):
        return False
    first, second = (unicodedata.normalize("NFC", os.path.realpath(path)).casefold() for path in (one, other))
    return first == second


def _refuse_same(name: str, path: Path | int, other: str, there: Path | int) -> None:
    said = [text if isinstance(file, int) else f"{text} {file}" for text, file in ((name, path), (other, there))]
    raise OutputError(f"{said[0]}: is the same file as {said[1]}; expected a file of its own; choose another name")
