"""Results for people (pages, pictures): written whole, or refused in one line."""

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.errors import OutputError
from refdiff.whole_file import replacing

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MASKS = {".png": "PNG"}


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
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; expected the name of a file")
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: cannot be written, the folder {folder} is not there; make it or correct the name")
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
