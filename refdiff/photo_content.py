"""Photos by their content: what a photo-level result is named by, and reading that notices an exchanged file."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import ImageError
from refdiff.photo import MAX_PIXELS, decode_photo, read_bytes
from refdiff.store.fingerprint import digest_bytes

_READERS = 4  # reading waits for the disk, and digests are computed without the interpreter's lock


def digest_photos(root: Path, paths: Sequence[str]) -> list[str]:
    """SHA-256 of each photo's bytes.

    Args:
        root: The folder that the paths are relative to.
        paths: The files.

    Raises:
        ImageError: A photo cannot be read; the first is named.
    """
    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(lambda path: digest_bytes(read_bytes(root / path, path)), paths))


def read_listed_photo(path: Path, where: str, size: tuple[int, int], digest: str | None) -> NDArray[np.uint8]:
    """A photo that must be the one that a table lists, RGB uint8 `[height width 3]`.

    Args:
        path: The file.
        where: What messages call it.
        size: Height and width that the dataset says.
        digest: SHA-256 that its bytes had before; None where that does not matter.

    Raises:
        ImageError: It does not decode, has another size, or was exchanged since.
    """
    data = read_bytes(path, where)
    if digest is not None and digest_bytes(data) != digest:
        raise ImageError(f"{where}: was exchanged while this command ran; expected the same file; run it again")
    rgb = decode_photo(data, where, MAX_PIXELS)[0]
    if rgb.shape[:2] != size:
        raise ImageError(
            f"{where}: expected {size[0]} x {size[1]} pixels, got {rgb.shape[0]} x {rgb.shape[1]}; "
            "the file was exchanged, run `dvc repro`"
        )
    return rgb
