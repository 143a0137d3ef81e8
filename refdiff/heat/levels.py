"""Heat in 8 bit on the photo: what Pillow's resize of the whole canvas gives, value for value, several times faster.

Pillow resizes 8-bit images in fixed point, along the rows first and then down the columns, and cuts to 8 bit after
each. The same integers come out of two matrix products in float64, which holds them exactly. Each output row depends
on a few grid rows only, so the second product is taken band by band.

Differs: where a canvas has fewer rows than the grid, Pillow may go down the columns first, and a level differ by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.geometry import SquareFrame
from refdiff.heat.readout import Upsampling
from refdiff.heat.upsampling import FILTERS

# Fixed point of Pillow's resize of 8-bit images (`PRECISION_BITS`, libImaging/Resample.c).
_UNIT = 1 << 22
_BAND_VALUES = 40_000  # float64 values of a band of the photo: what a processor's own cache holds


@dataclass(frozen=True, slots=True)
class _Band:
    """Rows `first` to `behind` of the photo: the cells `cells` of a grid's columns times `weights [cells rows]`."""

    first: int
    behind: int
    cells: slice
    weights: NDArray[np.float64]


def photo_levels(grids: NDArray[np.uint8], frame: SquareFrame, upsampling: Upsampling) -> Iterator[NDArray[np.int16]]:
    """The photo's part of grids that are resized to the square canvas in 8 bit.

    Args:
        grids: `[n h w]`, on the square canvas.
        frame: Where the photo lies on it.
        upsampling: Pillow's filter.

    Yields:
        For each grid int16 `[W H]` in 0 to 255: the photo column by column, as masks are coded. The next one takes its
        memory.
    """
    height, width = grids.shape[1:]
    columns = _weights(width, frame.square_width, frame.left, frame.width, upsampling)
    bands = _bands(height, frame.square_height, frame.top, frame.height, frame.width, upsampling)
    levels = np.empty((frame.width, frame.height), np.int16)
    scratch = np.empty(frame.width * max(band.behind - band.first for band in bands))
    for grid in grids:
        # Half a level more, and cut: rounded as Pillow rounds. What a filter shoots over 8 bit fits 16.
        wide = np.clip(columns @ grid.T.astype(np.float64) + 0.5, 0.0, 255.0).astype(np.uint8).astype(np.float64)
        for band in bands:
            rows = band.behind - band.first
            values = scratch[: frame.width * rows].reshape(frame.width, rows)
            np.matmul(wide[:, band.cells], band.weights, out=values)
            values += 0.5
            levels[:, band.first : band.behind] = values
        yield np.clip(levels, 0, 255, out=levels)


@lru_cache(maxsize=32)
def _weights(cells: int, square: int, first: int, pixels: int, upsampling: Upsampling) -> NDArray[np.float64]:
    """Pillow's weights of `cells` values on pixels `first` to `first + pixels` of `square`, `[pixels cells]`.

    They are multiples of 2^-22, taken from Pillow by resizing an identity in whole numbers.
    """
    identity = Image.fromarray(np.eye(cells, dtype=np.int32) * _UNIT)
    resized = np.asarray(identity.resize((cells, square), FILTERS[upsampling]))
    return resized[first : first + pixels] / _UNIT


@lru_cache(maxsize=32)
def _bands(cells: int, square: int, first: int, pixels: int, width: int, upsampling: Upsampling) -> tuple[_Band, ...]:
    weights, step = _weights(cells, square, first, pixels, upsampling), max(1, _BAND_VALUES // width)
    bands = []
    for start in range(0, pixels, step):
        rows = weights[start : start + step]
        used = np.flatnonzero(rows.any(axis=0))
        seen = slice(int(used[0]), int(used[-1]) + 1)
        bands.append(_Band(start, start + len(rows), seen, np.ascontiguousarray(rows[:, seen].T)))
    return tuple(bands)
