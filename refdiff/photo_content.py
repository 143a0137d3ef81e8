"""Photos by their content: reading that notices a file which is not the one that the dataset lists."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import ImageError
from refdiff.photo import MAX_PIXELS, decode_photo, read_bytes
from refdiff.store.fingerprint import digest_bytes


def read_listed_bytes(path: Path, where: str, sha256: str) -> bytes:
    """The bytes of a photo's file, which must be the one that the dataset lists.

    Args:
        path: The file.
        where: What messages call it.
        sha256: Digest that `prepare_dataset` found.

    Raises:
        ImageError: It cannot be read, or is another file.
    """
    data = read_bytes(path, where)
    if digest_bytes(data) != sha256:
        raise ImageError(
            f"{where}: is not the file that prepare_dataset read, it has another SHA-256; run `dvc repro`; before it, "
            "where photos lie outside the split's folder, `dvc repro -f -s prepare_dataset@SPLIT`"
        )
    return data


def read_listed_photo(path: Path, where: str, size: tuple[int, int], sha256: str) -> NDArray[np.uint8]:
    """A photo that must be the one that the dataset lists, RGB uint8 `[height width 3]`.

    Args:
        path: The file.
        where: What messages call it.
        size: Height and width that the dataset says.
        sha256: Digest that `prepare_dataset` found.

    Raises:
        ImageError: It does not decode, has another size, or is another file.
    """
    rgb = decode_photo(read_listed_bytes(path, where, sha256), where, MAX_PIXELS)[0]
    if rgb.shape[:2] != size:
        raise ImageError(
            f"{where}: expected {size[0]} x {size[1]} pixels, got {rgb.shape[0]} x {rgb.shape[1]}; "
            "the dataset's tables are not its own, run `dvc repro`"
        )
    return rgb
