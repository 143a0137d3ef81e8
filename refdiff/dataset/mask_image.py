"""Masks as PNG files, read by a stated rule: a file that other rules would read as another area is refused by name."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.dataset.settings import MaskValues
from refdiff.errors import MaskError
from refdiff.photo import MAX_PIXELS, load_image, read_bytes, read_orientation

_LEVELS_SHOWN = 6
# The brightest value of each mode. Pillow scales grey of fewer than 8 bits to 8, and reads 16 bits as one of three.
_BRIGHTEST = {"1": 1, "L": 255, "P": 255, "I": 65535, "I;16": 65535, "I;16B": 65535}


def read_mask_image(path: Path, rule: MaskValues) -> NDArray[np.bool_]:
    """The mask `[height width]` of a PNG of one channel.

    Args:
        path: The file.
        rule: Which values belong to the mask, see `PrepareDatasetSettings.mask_values`.

    Raises:
        ImageError: The file is missing or no PNG.
        MaskError: It has several channels or is to be turned, or the rule does not cover its values.
    """
    image = load_image(read_bytes(path, str(path)), str(path), MAX_PIXELS, ("PNG",))
    if image.mode not in _BRIGHTEST:
        raise MaskError(f"{path}: mask image has mode {image.mode}; expected one channel; save it as grey or palette")
    orientation = read_orientation(image)
    if orientation != 1:
        raise MaskError(
            f"{path}: mask image has an EXIF orientation of its own, {orientation}; expected none; save it as viewers "
            "show it"
        )
    values = np.asarray(image)
    if rule == "binary":
        _check_binary(values, image, path)
    if rule != "half":
        return values != 0
    if image.mode == "P":
        raise MaskError(
            f"{path}: mask image has a palette, whose numbers are no brightness; expected grey for "
            "prepare_dataset.mask_values: half; save it as grey"
        )
    return values > _BRIGHTEST[image.mode] / 2


def _check_binary(values: NDArray[np.generic], image: Image.Image, path: Path) -> None:
    levels, pixels = np.unique(values, return_counts=True)
    inside = levels[levels != 0]
    noun = "palette entries" if image.mode == "P" else "values"
    soft = image.mode != "P" and inside.max(initial=0) > _BRIGHTEST[image.mode] / 2
    if len(inside) > 1:
        shown = [f"{level} ({count} pixels)" for level, count in zip(levels, pixels, strict=True)][:_LEVELS_SHOWN]
        more = f" and {len(levels) - _LEVELS_SHOWN} more" if len(levels) > _LEVELS_SHOWN else ""
        raise MaskError(
            f"{path}: mask image has {len(levels)} {noun}: {', '.join(shown)}{more}; expected 0 outside and one other "
            "value inside; save the one object alone (no soft edges, JPEG, void border or other objects), or set "
            f"prepare_dataset.mask_values: {'half' if soft else 'nonzero'}"
        )
    if image.mode == "P" and len(inside) and _brightness(image, 0) > _brightness(image, int(inside[0])):
        raise MaskError(
            f"{path}: mask image has a palette whose entry 0 (outside) is lighter than entry {inside[0]} (inside); "
            "expected a dark background, as it may be meant the other way round; save it as grey, 0 outside, or set "
            "prepare_dataset.mask_values: nonzero"
        )


def _brightness(image: Image.Image, entry: int) -> int:
    """Sum of the channels of an entry's colour; black beyond the palette's end."""
    return sum((image.getpalette("RGB") or [])[3 * entry : 3 * entry + 3])
