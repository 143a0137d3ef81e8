"""The local view: a photo seen through one mask, cropped to the mask's box and resized for the model (no torch)."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Interpolation = Literal["bilinear", "bicubic"]
Rgb = tuple[int, int, int]

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True, slots=True)
class CropFrame:
    """What crops are made to.

    Attributes:
        image_px: The model's image size.
        patch_px: Its patch size.
        max_aspect: Bound of a crop's longer side, in units of `image_px`.
        interpolation: Resampling, with antialiasing.
        background_rgb: Colour outside the mask.
    """

    image_px: int
    patch_px: int
    max_aspect: float
    interpolation: Interpolation
    background_rgb: Rgb


class View(NamedTuple):
    """A picture that the model is shown.

    Attributes:
        pixels: RGB uint8 `[h w 3]`, both sides multiples of the patch.
        size: Height and width before the pixels beyond the last whole patch were left out.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


def cut_to_patches(picture: NDArray[np.uint8], patch_px: int) -> View:
    """Leave out the pixels beyond the last whole patch, as the convolution of the released model does."""
    height, width = picture.shape[:2]
    return View(picture[: height // patch_px * patch_px, : width // patch_px * patch_px], (height, width))


def mask_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of a mask that is not empty; bottom and right are the first beyond it."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def crop_size(height: int, width: int, frame: CropFrame) -> tuple[int, int]:
    """Height and width to which a crop of `height` x `width` is resized.

    The shorter side becomes `image_px` and the aspect is kept. When the longer side would then be longer than
    `max_aspect` times `image_px`, it gets that length and the shorter side follows it, down to one patch.

    Source: docs/method.md, "Local view": released code, get_cliphard.
    Differs: the released longer side has no bound; a crop of 5 x 400 becomes 224 x 17,920.
    """
    short, long = min(height, width), max(height, width)
    resized_short, resized_long = frame.image_px, frame.image_px * long // short
    bound = int(frame.max_aspect * frame.image_px)
    if resized_long > bound:
        resized_short, resized_long = max(frame.patch_px, bound * short // long), bound
    return (resized_short, resized_long) if height <= width else (resized_long, resized_short)


def local_view(photo: NDArray[np.uint8], mask: NDArray[np.bool_], frame: CropFrame) -> View:
    """What the model is shown of one mask: the masked photo, cropped, resized, and cut to whole patches.

    Args:
        photo: RGB uint8 `[height width 3]`, with its position ramp if it has one.
        mask: Bool `[height width]`, not empty.
        frame: Sizes and colours.

    Source: docs/method.md, "Local view": released code, get_cliphard.
    """
    top, left, bottom, right = mask_box(mask)
    inside = mask[top:bottom, left:right, None]
    crop = np.where(inside, photo[top:bottom, left:right], np.asarray(frame.background_rgb, dtype=np.uint8))
    height, width = crop_size(bottom - top, right - left, frame)
    resized = np.asarray(Image.fromarray(crop).resize((width, height), RESAMPLING[frame.interpolation]))
    return cut_to_patches(resized, frame.patch_px)
