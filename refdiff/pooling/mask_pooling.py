"""Masks pooled to the attention grid, so that scores of linear heat need no upsampling."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import MaskError
from refdiff.geometry import SquareFrame
from refdiff.heat.readout import Upsampling
from refdiff.heat.upsampling import photo_matrices
from refdiff.masks.runs import MaskRuns, separable_sums


@dataclass(frozen=True, slots=True)
class PooledMasks:
    """Masks of one photo brought to the attention grid by the transpose of the upsampling.

    The sum of an upsampled grid inside mask i is the sum of `inside[i] * grid`.

    Attributes:
        inside: float32 `[n h w]`, each mask pooled; the sum of `inside[i]` is its area.
        everything: float32 `[h w]`, the whole photo pooled.
        area: int64 `[n]`, pixels of each mask.
        pixels: Pixels of the photo.
    """

    inside: NDArray[np.float32]
    everything: NDArray[np.float32]
    area: NDArray[np.int64]
    pixels: int


def pool_masks(runs: MaskRuns, frame: SquareFrame, height: int, width: int, upsampling: Upsampling) -> PooledMasks:
    """Pool masks to a grid of `height` x `width` cells.

    Args:
        runs: Masks of the photo's size.
        frame: Where the photo lies on the square canvas.
        height: Rows of the grid.
        width: Columns of the grid.
        upsampling: The upsampling whose transpose pools.

    Raises:
        MaskError: The masks are not of the photo's size.

    Source: docs/method.md, "Pooled masks": <upsampled heat, mask> = <heat, pooled mask>.
    """
    if (runs.height, runs.width) != (frame.height, frame.width):
        raise MaskError(
            f"masks: expected {frame.height} x {frame.width}, got {runs.height} x {runs.width}; "
            "make the proposals again"
        )
    rows, columns = photo_matrices(frame, height, width, upsampling)
    everything = pool_photo(frame, height, width, upsampling)
    return PooledMasks(separable_sums(runs, rows, columns), everything, runs.area, runs.height * runs.width)


@lru_cache(maxsize=64)
def pool_photo(frame: SquareFrame, height: int, width: int, upsampling: Upsampling) -> NDArray[np.float32]:
    """The whole photo pooled to a grid of `height` x `width` cells, float32 `[height width]`."""
    rows, columns = photo_matrices(frame, height, width, upsampling)
    return np.outer(rows.sum(axis=0), columns.sum(axis=0))
