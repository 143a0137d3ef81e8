"""Contrast of every candidate under the heat of its expressions."""

import numpy as np
from numpy.typing import NDArray

from refdiff.fusion.choice import otsu_threshold
from refdiff.fusion.contrasts import full_contrasts, grid_contrasts, stored_contrasts
from refdiff.fusion.inputs import FusionInputs
from refdiff.heat.heat_map import photo_heat
from refdiff.heat.readout import ReadoutSettings
from refdiff.heat.split_heat import SplitHeat, read_split_heat
from refdiff.progress import Progress


def measure_contrast(
    inputs: FusionInputs, proposal: NDArray[np.int32], readout: ReadoutSettings, *, otsu: bool, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Generative score of all candidates, float64 `[E N]`, and Otsu's threshold of each heat, `[E]`, if asked for.

    Args:
        inputs: The split; scores come from its stored sums or pooled masks where it has them, and else from heat at the
            photo's size.
        proposal: Rows of the candidates of each expression, `[E N]`, -1 beyond.
        readout: How maps become heat.
        otsu: Whether Otsu's thresholds are wanted.
        progress: Called with the shards, if attention is read.

    Raises:
        ParameterError: The readout does not fit the capture.
        StoreMismatchError: The stores do not belong to the tables.
        ShardCorruptError: A shard is damaged.
    """
    contrast = np.zeros(proposal.shape)
    if inputs.sums is not None:
        contrast = stored_contrasts(inputs, inputs.sums, proposal)
    thresholds = np.full(len(proposal), np.nan) if otsu else None
    if inputs.sums is None or thresholds is not None:
        if inputs.attention is None:
            raise ValueError("attention: the method weighs it, got None")
        for heat in read_split_heat(inputs.dataset, inputs.text, inputs.attention, readout, progress):
            if inputs.sums is None:
                _fill_contrast(inputs, proposal, heat, readout, contrast)
            if thresholds is not None:
                thresholds[heat.expressions.start : heat.expressions.stop] = [
                    otsu_threshold(photo_heat(grid, readout, heat.frame)) for grid in heat.grids
                ]
    return contrast, thresholds


def _fill_contrast(
    inputs: FusionInputs,
    proposal: NDArray[np.int32],
    heat: SplitHeat,
    readout: ReadoutSettings,
    contrast: NDArray[np.float64],
) -> None:
    """Score the candidates of a photo's expressions: all at once where they share them."""
    first, step = heat.expressions.start, 1 if inputs.proposals.per_expression else len(heat.expressions)
    for number in range(0, len(heat.expressions), step):
        rows = proposal[first + number]
        rows = rows[rows >= 0]
        grids = heat.grids[number : number + step]
        if inputs.pooled is None:
            scores = full_contrasts(grids, inputs.proposals, rows, readout, heat.frame)
        else:
            scores = grid_contrasts(grids, inputs.proposals, rows, inputs.pooled, heat.frame)
        contrast[first + number : first + number + step, : len(rows)] = scores
