"""Sums of heat inside masks, for readouts whose scores cannot be had from pooled masks (see `heat_map.is_linear`).

Heat in 8 bit is summed in whole numbers, exactly; other heat in float64, as it lies on the photo. A sum does not depend
on which other masks are summed with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refdiff.geometry import SquareFrame
from refdiff.heat.heat_map import grid_levels, level_factor, photo_heat
from refdiff.heat.readout import ReadoutSettings
from refdiff.masks.runs import MaskRuns, level_sums, run_sums
from refdiff.proposals.tables import ProposalTable


@dataclass(frozen=True, slots=True)
class HeatSums:
    """Sums of the heat of one expression, in units of `factor` and but for a constant, which no contrast sees.

    Attributes:
        inside: float64 `[n]`, inside each mask.
        total: Over the whole photo.
        factor: Heat that a unit is.
    """

    inside: NDArray[np.float64]
    total: float
    factor: float


def sum_heats(
    grids: NDArray[np.float64],
    readout: ReadoutSettings,
    frame: SquareFrame,
    masks: Sequence[Sequence[MaskRuns]],
) -> list[list[HeatSums]]:
    """Sums of heats on one photo, each brought to the photo's size once.

    Args:
        grids: Heat on the attention grid, `[n h w]`.
        readout: How it is brought to the photo.
        frame: Where the photo lies on the square canvas.
        masks: For each heat, the stacks of masks that it is summed in.

    Returns:
        For each heat its sums in each of its stacks.

    Raises:
        MaskError: Masks are not of the photo's size.
    """
    sums = []
    if readout.round_to_8_bit:
        for levels, stacks in zip(grid_levels(grids, readout, frame), masks, strict=True):
            factor = level_factor(levels, readout)
            sums.append([_sum_levels(levels, factor, each) for each in stacks])
    else:
        for grid, stacks in zip(grids, masks, strict=True):
            heat = photo_heat(grid, readout, frame)
            sums.append([HeatSums(run_sums(each, heat), _total(heat), 1.0) for each in stacks])
    return sums


def _sum_levels(levels: NDArray[np.int16], factor: float, runs: MaskRuns) -> HeatSums:
    inside, total = level_sums(runs, levels)
    return HeatSums(inside.astype(np.float64), float(total), factor)


def _total(heat: NDArray[np.float32]) -> float:
    return float(heat.sum(dtype=np.float64))


def mask_rows(
    proposals: ProposalTable, image_index: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the proposals table that belong to each expression, or to its photo: the first, and how many.

    Args:
        proposals: Masks of photos or of expressions.
        image_index: Photo of each expression, `[E]`.

    Returns:
        Two int64 `[E]`.
    """
    owner, owner_of = proposals.image_index, image_index
    if proposals.per_expression:
        owner, owner_of = proposals.expression_index, np.arange(len(image_index))
    first = np.searchsorted(owner, owner_of)
    return first, np.searchsorted(owner, owner_of, side="right") - first
