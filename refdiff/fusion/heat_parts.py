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
        progress: Called with the shards.

    Raises:
        ParameterError: The readout does not fit the capture.
        StoreMismatchError: The stores do not belong to the tables.
        ShardCorruptError: A shard is damaged.
    """
    store = inputs.attention
    if store is None:
        raise ValueError("attention: the method weighs it, got None")
    contrast = np.zeros(proposal.shape)
    thresholds = np.full(len(proposal), np.nan) if otsu else None
    blocks = store.blocks(prompt_positions(readout, inputs.text))
    for block in progress(blocks, store.shards):
        for heat in _read_heats(inputs, store, block, readout):
            _fill_contrast(inputs, proposal, heat, readout, pool, contrast)
            if thresholds is not None:
                thresholds[heat.expressions.start : heat.expressions.stop] = [
                    otsu_threshold(photo_heat(grid, readout, heat.frame)) for grid in heat.grids
                ]
    return contrast, thresholds


def _fill_contrast(
    inputs: FusionInputs,
    proposal: NDArray[np.int32],
    heat: _PhotoHeat,
    readout: ReadoutSettings,
    pool: bool,
    contrast: NDArray[np.float64],
) -> None:
    """Score the candidates of a photo's expressions: all at once where they share them."""
    first, step = heat.expressions.start, 1 if inputs.proposals.per_expression else len(heat.expressions)
    for number in range(0, len(heat.expressions), step):
        rows = proposal[first + number]
        rows = rows[rows >= 0]
        masks = CandidateMasks(inputs.proposals, rows, heat.frame, inputs.pooled)
        scores = masks.contrast(heat.grids[number : number + step], readout, pool)
        contrast[first + number : first + number + step, : len(rows)] = scores


def _read_heats(
    inputs: FusionInputs, store: AttentionStore, block: TokenBlock, readout: ReadoutSettings
) -> Iterator[_PhotoHeat]:
    """Heat of a shard's expressions, photo by photo."""
    images, image_of = inputs.dataset.images, inputs.dataset.expressions.image_index
    inside = image_of[block.expressions.start : block.expressions.stop]
    cuts = [0, *(np.flatnonzero(np.diff(inside)) + 1).tolist(), len(inside)]
    for first, behind in pairwise(cuts):
        image = inside[first]
        frame = square_frame(int(images.height[image]), int(images.width[image]), store.settings["canvas_mode"])
        rows = slice(block.starts[first], block.starts[behind])
        maps = {size: each[rows] for size, each in block.maps.items()}
        grids = grid_heats(store.keys, maps, block.starts[first:behind] - rows.start, readout, frame)
        yield _PhotoHeat(block.expressions[first:behind], frame, grids)
