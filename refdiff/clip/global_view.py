"""The global view's geometry: the whole photo on whole patches, and which patches each mask covers (no torch)."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.clip.local_view import RESAMPLING, Interpolation, View, cut_to_patches, mask_box
from refdiff.clip.mask_stack import MaskStack, iterate_masks

Fit = Literal["crop", "resize"]


def global_size(height: int, width: int, patch_px: int, max_side_px: int, fit: Fit) -> tuple[int, int]:
    """Height and width to which a photo is resized before it is cut into patches.

    A photo whose longer side is beyond `max_side_px` is made smaller with its aspect kept. Then a side shorter than
    one patch becomes one patch; with `resize` each side becomes the nearest multiple of the patch.
    """
    longest = max(height, width)
    bound = max(max_side_px, patch_px)
    sides = (height, width)
    if longest > bound:
        sides = (height * bound // longest, width * bound // longest)
    if fit == "resize":
        sides = (round(sides[0] / patch_px) * patch_px, round(sides[1] / patch_px) * patch_px)
    return max(sides[0], patch_px), max(sides[1], patch_px)


def global_view(
    photo: NDArray[np.uint8], patch_px: int, max_side_px: int, fit: Fit, interpolation: Interpolation
) -> View:
    """The whole photo on whole patches.

    Args:
        photo: RGB uint8 `[height width 3]`, with its position ramp if it has one.
        patch_px: The model's patch size.
        max_side_px: Longest side; the photo's own size is kept below it.
        fit: `crop` leaves out pixels beyond the last whole patch, at the right and below; `resize` stretches.
        interpolation: Resampling where the size changes.

    Source: docs/method.md, "Global view": get_clipsoft (own size, last part patches left out: `crop`).
    """
    height, width = global_size(photo.shape[0], photo.shape[1], patch_px, max_side_px, fit)
    if (height, width) != photo.shape[:2]:
        photo = np.asarray(Image.fromarray(photo).resize((width, height), RESAMPLING[interpolation]))
    return cut_to_patches(photo, patch_px)


def visible_patches(masks: MaskStack, photo_size: tuple[int, int], grid: tuple[int, int]) -> NDArray[np.bool_]:
    """Which patches each class token sees: the mask resized to the patch grid, nearest neighbour.

    A mask that hits no patch in that way (it is smaller than a patch) sees the one patch that holds most of its
    pixels, the first of these in reading order.

    Args:
        masks: Masks of the photo.
        photo_size: Height and width of photo and masks.
        grid: Rows and columns of patches.

    Returns:
        Bool `[n rows*columns]`, at least one true per mask.

    Source: docs/method.md, "Global view": get_clipsoft samples row `floor(i * height / rows)` for patch row i.
    Differs: the released class token of a mask that hits no patch sees nothing but itself, and so says nothing.
    """
    height, width = photo_size
    rows, columns = grid
    sampled_rows = np.arange(rows) * height // rows
    sampled_columns = np.arange(columns) * width // columns
    visible = np.zeros((masks.shape[0], rows, columns), dtype=np.bool_)
    for index, mask in iterate_masks(masks, height, width):
        visible[index] = mask[np.ix_(sampled_rows, sampled_columns)]
        if not visible[index].any():
            top, left, bottom, right = mask_box(mask)
            y, x = np.nonzero(mask[top:bottom, left:right])
            patches = ((y + top) * rows // height) * columns + (x + left) * columns // width
            visible[index].reshape(-1)[np.bincount(patches).argmax()] = True
    return visible.reshape(-1, rows * columns)
