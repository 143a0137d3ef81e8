"""Contrast of heat under candidates: on the attention grid, at the photo's size, or from sums that were stored."""

import numpy as np
from numpy.typing import NDArray

from refdiff.fusion.inputs import FusionInputs
from refdiff.fusion.scores import pooled_contrasts, sums_contrast
from refdiff.geometry import CanvasMode, SquareFrame
from refdiff.heat.readout import ReadoutSettings
from refdiff.heat.sums import mask_rows, sum_heats
from refdiff.masks.runs import decode_runs
from refdiff.pooling.mask_pooling import PooledMasks, pool_photo
from refdiff.pooling.store import PooledStore, StoredSums
from refdiff.proposals.tables import ProposalTable


def full_contrasts(
    grids: NDArray[np.float64],
    proposals: ProposalTable,
    rows: NDArray[np.integer],
    readout: ReadoutSettings,
    frame: SquareFrame,
) -> NDArray[np.float64]:
    """Generative score of candidates from heat at the photo's size, `[heat candidate]`.

    Args:
        grids: Heat on the attention grid, `[heat h w]` (see `heat_map.grid_heats`).
        proposals: The split's proposals.
        rows: The candidates.
        readout: How heat is brought to the photo.
        frame: Where the photo lies on the square canvas.

    Raises:
        MaskError: A mask is not of the photo's size.
    """
    runs = decode_runs([proposals.counts[row] for row in rows], frame.height, frame.width)
    scores = [
        sums_contrast(sums.inside, sums.total, sums.factor, runs.area, frame.height * frame.width)
        for (sums,) in sum_heats(grids, readout, frame, [[runs]] * len(grids))
    ]
    return np.array(scores).reshape(len(grids), len(rows))


def grid_contrasts(
    grids: NDArray[np.float64],
    proposals: ProposalTable,
    rows: NDArray[np.integer],
    pooled: tuple[PooledStore, CanvasMode],
    frame: SquareFrame,
) -> NDArray[np.float64]:
    """`full_contrasts` of a readout that is linear, from masks pooled to the grid.

    Args:
        grids: As there; so are the next two.
        proposals: The split's proposals.
        rows: The candidates, rising.
        pooled: The proposals pooled to attention grids, and the canvas mode to take.
        frame: Where the photo lies on the square canvas.

    Raises:
        StoreMismatchError: The masks are not pooled to this grid.
        ShardCorruptError: A file is damaged.
    """
    height, width = grids.shape[1:]
    inside = np.zeros((0, height, width), np.float32)
    if len(rows):
        store, mode = pooled
        first, behind = int(rows[0]), int(rows[-1]) + 1
        inside = store.read(mode, (height, width), range(first, behind))
        if behind - first != len(rows):
            inside = inside[rows - first]
    everything = pool_photo(frame, height, width, "bilinear")
    return pooled_contrasts(grids, PooledMasks(inside, everything, proposals.area[rows], frame.height * frame.width))


def stored_contrasts(inputs: FusionInputs, sums: StoredSums, proposal: NDArray[np.int32]) -> NDArray[np.float64]:
    """`full_contrasts` of all expressions of a split, bit for bit, from sums of their heat.

    Args:
        inputs: The split.
        sums: Of the readout's heat in its proposals.
        proposal: Rows of the candidates of each expression, `[E N]`, -1 beyond.

    Returns:
        float64 `[E N]`, 0 where there is no candidate.
    """
    images, image_of = inputs.dataset.images, inputs.dataset.expressions.image_index
    first, count = mask_rows(inputs.proposals, image_of)
    expression, place = np.nonzero(proposal >= 0)
    rows = proposal[expression, place]
    pair = (np.cumsum(count) - count - first)[expression] + rows
    contrast = np.zeros(proposal.shape)
    contrast[expression, place] = sums_contrast(
        sums.inside[pair],
        sums.total[expression],
        sums.factor[expression],
        inputs.proposals.area[rows],
        (images.height.astype(np.int64) * images.width)[image_of[expression]],
    )
    return contrast
