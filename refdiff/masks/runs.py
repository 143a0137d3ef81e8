"""Masks of one photo as runs of pixels: sums over masks without decoding them to pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import MaskError
from refdiff.masks.rle import check_coverage, read_runs


@dataclass(frozen=True, slots=True)
class MaskRuns:
    """Runs of n masks; a run is a stretch of mask pixels in column-major order, and may be empty.

    Attributes:
        height: Photo height.
        width: Photo width.
        start: int64 `[runs]`, first pixel of each run, counted down the columns.
        end: int64 `[runs]`, behind the last one.
        owner: int64 `[runs]`, the mask that each run belongs to, rising.
        area: int64 `[n]`, pixels of each mask.
    """

    height: int
    width: int
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    owner: NDArray[np.int64]
    area: NDArray[np.int64]


def decode_runs(counts: Sequence[bytes], height: int, width: int) -> MaskRuns:
    """Runs of COCO codes.

    Raises:
        MaskError: A code does not decode to `height` x `width`.
    """
    codes = read_runs(counts)
    check_coverage(codes, height, width)
    owner = np.repeat(np.arange(len(counts)), codes.counts)
    end = np.cumsum(codes.pairs).reshape(-1, 2)[:, 1] - owner * (height * width)
    inside = codes.pairs[:, 1]
    area = np.add.reduceat(inside, codes.first) if len(counts) else np.zeros(0, np.int64)
    return MaskRuns(height, width, end - inside, end, owner, area)


def run_sums(runs: MaskRuns, values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sum of `values` inside each mask, `[n]`.

    Args:
        runs: The masks.
        values: `[H W]` of the photo.

    Raises:
        MaskError: Masks and values differ in size.
    """
    if values.shape != (runs.height, runs.width):
        raise MaskError(f"masks: expected {list(values.shape)} pixels, got {[runs.height, runs.width]}")
    upto = np.zeros(values.size + 1)
    np.cumsum(values.T.ravel(), dtype=np.float64, out=upto[1:])
    sums = np.bincount(runs.owner, weights=upto[runs.end] - upto[runs.start], minlength=len(runs.area))
    return sums.astype(np.float64)


def level_sums(runs: MaskRuns, levels: NDArray[np.int16]) -> tuple[NDArray[np.int64], int]:
    """Exact sum of `levels` inside each mask, int64 `[n]`, and over the whole photo.

    Args:
        runs: The masks.
        levels: `[W H]` of the photo in 0 to 255, column by column.

    Raises:
        MaskError: Masks and levels differ in size.
    """
    if levels.shape != (runs.width, runs.height):
        raise MaskError(f"masks: expected {list(levels.shape[::-1])} pixels, got {[runs.height, runs.width]}")
    upto = np.zeros(levels.size + 1, np.uint32 if levels.size < 1 << 24 else np.uint64)
    np.cumsum(levels, dtype=upto.dtype, out=upto[1:])
    counts = np.bincount(runs.owner, minlength=len(runs.area))
    first = (np.cumsum(counts) - counts)[counts > 0]
    sums = np.zeros(len(runs.area), np.int64)
    if len(first):
        sums[counts > 0] = np.add.reduceat(upto[runs.end] - upto[runs.start], first, dtype=np.int64)
    return sums, int(upto[-1])


def separable_sums(runs: MaskRuns, rows: NDArray[np.floating], columns: NDArray[np.floating]) -> NDArray[np.float32]:
    """rows.T @ mask @ columns of each mask, float32 `[n h w]`.

    Args:
        runs: The masks.
        rows: `[H h]`.
        columns: `[W w]`.
    """
    start, end, owner, column = _split_at_columns(runs)
    upto = np.zeros((runs.height + 1, rows.shape[1]))
    np.cumsum(rows, axis=0, dtype=np.float64, out=upto[1:])
    down = (upto[end] - upto[start]).astype(np.float32)
    across = columns.astype(np.float32)[column]
    bounds = np.searchsorted(owner, np.arange(len(runs.area) + 1))
    sums = np.empty((len(runs.area), rows.shape[1], columns.shape[1]), dtype=np.float32)
    for index, (first, last) in enumerate(pairwise(bounds)):
        sums[index] = down[first:last].T @ across[first:last]
    return sums


def _split_at_columns(
    runs: MaskRuns,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Runs cut where a column ends: first row, row behind the last, mask, column of each piece."""
    first = runs.start // runs.height
    pieces = (runs.end - 1) // runs.height - first + 1
    behind = np.cumsum(pieces)
    step = np.arange(behind[-1] if len(behind) else 0) - np.repeat(behind - pieces, pieces)
    column = np.repeat(first, pieces) + step
    top = column * runs.height
    start = np.maximum(np.repeat(runs.start, pieces) - top, 0)
    end = np.minimum(np.repeat(runs.end, pieces) - top, runs.height)
    return start, end, np.repeat(runs.owner, pieces), column
