"""Pool every mask of a source to the attention grids in use, so that a score needs neither pixels nor run-length codes.

What is written depends on the masks, the photos' sizes and the grids; on no weight.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from refdiff.attention_store import AttentionStore
from refdiff.dataset.tables import Dataset
from refdiff.geometry import CanvasMode, square_frame
from refdiff.heat import grid_size, is_linear
from refdiff.layout import SplitLayout
from refdiff.mask_pooling import pool_masks
from refdiff.mask_runs import decode_runs
from refdiff.pooled_store import ARTIFACT, grid_name
from refdiff.proposals.tables import ProposalTable
from refdiff.readout import ReadoutSettings
from refdiff.zarr_plan import METADATA

FILE_BYTES = 8 << 20  # of values in one file, before they are compressed
ZSTD_LEVEL = 1


@dataclass(frozen=True, slots=True, order=True)
class Grid:
    """A grid that masks are pooled to.

    Attributes:
        mode: How photos lie on the square canvas.
        size: Height and width in cells.
    """

    mode: CanvasMode
    size: tuple[int, int]


def grids_in_use(layout: SplitLayout, readouts: Iterable[ReadoutSettings]) -> list[Grid]:
    """Grids of the readouts whose scores can be had from pooled masks (see `heat.is_linear`), each once.

    Raises:
        ArtifactMissingError: A capture that a readout reads is not there.
        ParameterError: A readout does not fit its capture.
    """
    found = set()
    for readout in readouts:
        if is_linear(readout):
            store = AttentionStore.open(layout.attention(readout.capture))
            found.add(Grid(store.settings["canvas_mode"], grid_size(store.keys, readout)))
    return sorted(found)


def write_pooled(
    path: Path, dataset: Dataset, proposals: ProposalTable, grids: Sequence[Grid], provenance: Mapping[str, Any]
) -> None:
    """Write the pooled masks of a source.

    Args:
        path: The store; it is not there yet.
        dataset: The split.
        proposals: The masks, of photos or of expressions, ordered by photo.
        grids: What they are pooled to.
        provenance: Where they come from.
    """
    path.mkdir(parents=True)
    writers = {grid: _RowWriter(path / grid_name(grid.mode, grid.size), len(proposals), grid.size) for grid in grids}
    bounds = np.searchsorted(proposals.image_index, np.arange(len(dataset.images.image_id) + 1)).tolist()
    for image, (first, last) in enumerate(pairwise(bounds)):
        if first == last:
            continue
        height, width = int(dataset.images.height[image]), int(dataset.images.width[image])
        runs = decode_runs(proposals.counts[first:last], height, width)
        for grid, writer in writers.items():
            frame = square_frame(height, width, grid.mode)
            writer.add(pool_masks(runs, frame, *grid.size, "bilinear").inside)
    for writer in writers.values():
        writer.close()
    files = {
        file.relative_to(path).as_posix(): file.stat().st_size for file in sorted(path.rglob("*")) if file.is_file()
    }
    attributes = {"artifact": ARTIFACT, "provenance": dict(provenance), "files": files}
    root = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (path / METADATA).write_text(json.dumps(root, sort_keys=True, indent=1), encoding="utf-8")


class _RowWriter:
    """Writes rows to an array file by file, each once and whole."""

    def __init__(self, folder: Path, rows: int, size: tuple[int, int]) -> None:
        self._step = max(1, FILE_BYTES // (size[0] * size[1] * np.dtype(np.float32).itemsize))
        self._array = zarr.create_array(
            folder,
            shape=(rows, *size),
            chunks=(self._step, *size),
            dtype="float32",
            compressors=ZstdCodec(level=ZSTD_LEVEL, checksum=True),
            fill_value=0,
            zarr_format=3,
            config={"write_empty_chunks": True},
        )
        self._waiting: list[NDArray[np.float32]] = []
        self._written = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= self._step:
            block = np.concatenate(self._waiting)
            whole = len(block) // self._step * self._step
            self._write(block[:whole])
            self._waiting = [block[whole:]]

    def close(self) -> None:
        if self._waiting:
            self._write(np.concatenate(self._waiting))

    def _write(self, rows: NDArray[np.float32]) -> None:
        if len(rows):
            self._array[self._written : self._written + len(rows)] = rows
            self._written += len(rows)
