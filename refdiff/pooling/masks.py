"""Pool every mask of a source to the attention grids in use, so that a score needs neither pixels nor run-length codes.

What is written depends on the masks, the photos' sizes and the grids; on no weight.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from refdiff.attention.store import AttentionStore
from refdiff.dataset.tables import Dataset
from refdiff.geometry import CanvasMode, square_frame
from refdiff.heat.heat_map import grid_size, is_linear
from refdiff.heat.readout import ReadoutSettings
from refdiff.layout import SplitLayout
from refdiff.masks.runs import decode_runs
from refdiff.pooling.mask_pooling import pool_masks
from refdiff.pooling.store import POOLED_TYPE, grid_name
from refdiff.pooling.writer import RowWriter
from refdiff.progress import Progress
from refdiff.proposals.tables import ProposalTable
from refdiff.store.zarr_plan import side_names


@dataclass(frozen=True, slots=True, order=True)
class Grid:
    """A grid that masks are pooled to.

    Attributes:
        mode: How photos lie on the square canvas.
        size: Height and width in cells.
    """

    mode: CanvasMode
    size: tuple[int, int]

    @property
    def name(self) -> str:
        return grid_name(self.mode, self.size)


def grids_in_use(layout: SplitLayout, readouts: Iterable[ReadoutSettings]) -> list[Grid]:
    """Grids of the readouts whose scores can be had from pooled masks (see `heat_map.is_linear`), each once.

    Raises:
        ArtifactMissingError: A capture that a readout reads is not there.
        ParameterError: A readout does not fit its capture.
    """
    found = set()
    for readout in readouts:
        if is_linear(readout):
            store = AttentionStore.open(layout.attention(readout.capture))
            found.add(Grid(store.canvas_mode, grid_size(store.keys, readout)))
    return sorted(found)


def write_grids(
    path: Path, dataset: Dataset, proposals: ProposalTable, grids: Sequence[Grid], progress: Progress
) -> None:
    """Write the pooled masks of a source.

    Args:
        path: The store.
        dataset: The split.
        proposals: The masks, of photos or of expressions, ordered by photo.
        grids: What they are pooled to.
        progress: Called with the photos.
    """
    writers = {
        grid: RowWriter(
            path / grid.name, (len(proposals), *grid.size), POOLED_TYPE, ("proposal", *side_names(grid.size))
        )
        for grid in grids
    }
    bounds = np.searchsorted(proposals.image_index, np.arange(len(dataset.images.image_id) + 1)).tolist()
    for image, (first, last) in progress(enumerate(pairwise(bounds)), len(bounds) - 1):
        if first == last:
            continue
        height, width = int(dataset.images.height[image]), int(dataset.images.width[image])
        runs = decode_runs(proposals.counts[first:last], height, width)
        for grid, writer in writers.items():
            frame = square_frame(height, width, grid.mode)
            writer.add(pool_masks(runs, frame, *grid.size, "bilinear").inside)
    for writer in writers.values():
        writer.close()
