"""Contrast of every candidate under the heat of its expressions, photo by photo."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from refdiff.attention_store import AttentionStore, TokenBlock
from refdiff.fusion.candidate_masks import CandidateMasks
from refdiff.fusion.choice import otsu_threshold
from refdiff.fusion.inputs import FusionInputs
from refdiff.fusion.progress import Progress
from refdiff.geometry import SquareFrame, square_frame
from refdiff.heat import grid_heats, photo_heat
from refdiff.prompt_positions import prompt_positions
from refdiff.readout import ReadoutSettings


@dataclass(frozen=True, slots=True)
class _PhotoHeat:
    """Heat of consecutive expressions of one photo on the attention grid, `[n h w]`."""

    expressions: range
    frame: SquareFrame
    grids: NDArray[np.float64]


def measure_contrast(
    inputs: FusionInputs,
    proposal: NDArray[np.int32],
    readout: ReadoutSettings,
    *,
    pool: bool,
    otsu: bool,
    progress: Progress,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Generative score of all candidates, float64 `[E N]`, and Otsu's threshold of each heat, `[E]`, if asked for.

    Args:
        inputs: The split, with attention.
        proposal: Rows of the candidates of each expression, `[E N]`, -1 beyond.
        readout: How maps become heat.
        pool: Score on the attention grid where the readout is linear; else at the photo's size.
        otsu: Whether Otsu's thresholds are wanted.
        progress: Called with the expressions.

    Raises:
        ParameterError: The readout does not fit the capture.
        StoreMismatchError: The stores do not belong to the tables.
        ShardCorruptError: A shard is damaged.
    """
    contrast = np.zeros(proposal.shape)
    thresholds = np.full(len(proposal), np.nan) if otsu else None
    masks: CandidateMasks | None = None
    for heat, number in progress(_steps(inputs, readout), len(proposal)):
        first = heat.expressions[number]
        behind = heat.expressions.stop if not inputs.proposals.per_expression else first + 1
        rows = proposal[first][proposal[first] >= 0]
        grids = heat.grids[number : number + behind - first]
        if masks is None or masks.frame != heat.frame or not np.array_equal(masks.rows, rows):
            masks = CandidateMasks(inputs.proposals, rows, heat.frame, inputs.pooled)
        if number == 0 or inputs.proposals.per_expression:
            contrast[first:behind, : len(rows)] = masks.contrast(grids, readout, pool)
        if thresholds is not None:
            thresholds[first] = otsu_threshold(photo_heat(heat.grids[number], readout, heat.frame))
    return contrast, thresholds


def _steps(inputs: FusionInputs, readout: ReadoutSettings) -> Iterator[tuple[_PhotoHeat, int]]:
    """Every expression: the heat of its photo, and which of it."""
    for heat in _read_heats(inputs, readout):
        yield from ((heat, number) for number in range(len(heat.expressions)))


def _read_heats(inputs: FusionInputs, readout: ReadoutSettings) -> Iterator[_PhotoHeat]:
    store = inputs.attention
    if store is None:
        raise ValueError("attention: the method weighs it, got None")
    images, image_of = inputs.dataset.images, inputs.dataset.expressions.image_index
    for block in store.blocks(prompt_positions(readout, inputs.text)):
        inside = image_of[block.expressions.start : block.expressions.stop]
        cuts = [0, *(np.flatnonzero(np.diff(inside)) + 1).tolist(), len(inside)]
        for first, behind in pairwise(cuts):
            image = inside[first]
            frame = square_frame(int(images.height[image]), int(images.width[image]), store.settings["canvas_mode"])
            grids = _grids_of(store, block, slice(first, behind), readout, frame)
            yield _PhotoHeat(block.expressions[first:behind], frame, grids)


def _grids_of(
    store: AttentionStore, block: TokenBlock, part: slice, readout: ReadoutSettings, frame: SquareFrame
) -> NDArray[np.float64]:
    rows = slice(block.starts[part.start], block.starts[part.stop])
    maps = {size: each[rows] for size, each in block.maps.items()}
    return grid_heats(store.keys, maps, block.starts[part] - rows.start, readout, frame)
