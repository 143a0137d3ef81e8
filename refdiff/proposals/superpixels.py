"""First regions: basins of the colour gradient, whose borders lie on the photo's edges."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.filters import gaussian
from skimage.morphology import local_minima
from skimage.segmentation import watershed

from refdiff.proposals.connected import label_parts

# The gradient of a smoothed step of height 1 peaks at 1 / (sqrt(2 pi) width): this times the width gives the step back.
STEP_OF_PEAK = float(np.sqrt(2 * np.pi))


@dataclass(frozen=True, slots=True)
class Superpixels:
    """A photo cut into small regions.

    Attributes:
        labels: int32 `[height width]`, 0 to n - 1, each a connected region.
        lab: float32 `[height width 3]`, smoothed colour, CIE Lab.
        gradient: float32 `[height width]`, colour change per pixel of the smoothed photo.
        step: float32 `[height width]`, the gradient as the height of the edge that makes it, in Lab units.
    """

    labels: NDArray[np.int32]
    lab: NDArray[np.float32]
    gradient: NDArray[np.float32]
    step: NDArray[np.float32]


def to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIE Lab float32 `[height width 3]` of RGB uint8."""
    return rgb2lab(rgb).astype(np.float32)


def cut_superpixels(lab: NDArray[np.float32], smoothing_px: float, gradient_step: float) -> Superpixels:
    """Cut a photo into the basins of its colour gradient.

    Args:
        lab: CIE Lab `[height width 3]`.
        smoothing_px: Width (standard deviation) of the Gaussian that the photo is smoothed by.
        gradient_step: Gradients are told apart in steps of this, in Lab units per pixel: a place of less change is
            flat, and flat places grow into one region.
    """
    smooth = gaussian(lab, smoothing_px, channel_axis=2).astype(np.float32)
    squares = np.zeros(lab.shape[:2], dtype=np.float32)
    for axis in (0, 1):
        if lab.shape[axis] > 1:
            squares += (np.gradient(smooth, axis=axis) ** 2).sum(axis=2)
    gradient = np.sqrt(squares)
    levels = np.floor(gradient / np.float32(gradient_step)).astype(np.int32)
    seeds = label_parts(_basins(levels), corners=False)
    labels = watershed(gradient, seeds).astype(np.int32) - 1
    return Superpixels(labels, smooth, gradient, gradient * np.float32(STEP_OF_PEAK * smoothing_px))


def _basins(levels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where the levels are lowest among their neighbours; everywhere when there is one level only."""
    if levels.min() == levels.max() or min(levels.shape) < 2:
        return levels == levels.min()
    return np.asarray(local_minima(levels), dtype=np.bool_)
