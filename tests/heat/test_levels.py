"""Heat in 8 bit is that of Pillow, value for value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from refdiff.geometry import CanvasMode, SquareFrame, square_frame
from refdiff.heat.levels import photo_levels
from refdiff.heat.readout import Upsampling
from refdiff.heat.upsampling import FILTERS


def resize_by_pillow(levels: np.ndarray, frame: SquareFrame, upsampling: Upsampling) -> np.ndarray:
    """The photo's part of the square canvas that Pillow resizes whole."""
    square = Image.fromarray(levels).resize((frame.square_width, frame.square_height), FILTERS[upsampling])
    rows = slice(frame.top, frame.top + frame.height)
    return np.asarray(square)[rows, frame.left : frame.left + frame.width]


@pytest.mark.parametrize("upsampling", ["bilinear", "lanczos"])
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    cells=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    case=st.one_of(
        st.tuples(st.just("letterbox"), st.integers(1, 500), st.integers(40, 500)),
        st.tuples(st.just("resize"), st.integers(40, 500), st.integers(1, 500)),
    ),
    extreme=st.booleans(),
)
def test_levels_are_those_of_pillow(
    upsampling: Upsampling, seed: int, cells: tuple[int, int], case: tuple[CanvasMode, int, int], extreme: bool
) -> None:
    grids = np.random.default_rng(seed).integers(0, 256, (2, *cells)).astype(np.uint8)
    if extreme:  # the most that a filter shoots over
        grids = np.where(grids > 127, 255, 0).astype(np.uint8)
    mode, height, width = case
    frame = square_frame(height, width, mode)
    for grid, levels in zip(grids, photo_levels(grids, frame, upsampling), strict=True):
        np.testing.assert_array_equal(levels.T, resize_by_pillow(grid, frame, upsampling))


@pytest.mark.parametrize("size", [(480, 640), (640, 427), (2000, 1500)])
def test_large_photos_are_resized_in_bands(size: tuple[int, int]) -> None:
    grid = np.random.default_rng(0).integers(0, 256, (1, 32, 32)).astype(np.uint8)
    frame = square_frame(*size, "letterbox")
    (levels,) = photo_levels(grid, frame, "lanczos")
    np.testing.assert_array_equal(levels.T, resize_by_pillow(grid[0], frame, "lanczos"))
