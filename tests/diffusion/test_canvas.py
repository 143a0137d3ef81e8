"""The square canvas against Pillow's own resize of the whole square."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from refdiff.diffusion import canvas
from refdiff.diffusion.canvas import fit_canvas, to_signed
from tests.diffusion.rows import make_photo


def whole_square(photo: np.ndarray, canvas_px: int) -> np.ndarray:
    height, width = photo.shape[:2]
    side = max(height, width)
    square = np.zeros((side, side, 3), dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = photo
    return np.asarray(Image.fromarray(square).resize((canvas_px, canvas_px), Image.Resampling.LANCZOS))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([8, 32, 64]), st.integers(1, 5000))
def test_letterbox_has_the_bits_of_resizing_the_whole_square(height: int, width: int, px: int, strip: int):
    photo = make_photo(0, height, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canvas, "STRIP_PIXELS", strip)
        got = fit_canvas(photo, px, "letterbox")
    np.testing.assert_array_equal(got, whole_square(photo, px))


def test_resize_stretches_to_the_square():
    photo = make_photo(1, 30, 70)
    expected = np.asarray(Image.fromarray(photo).resize((48, 48), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(fit_canvas(photo, 48, "resize"), expected)


@pytest.mark.parametrize("shape", [(10, 20_000), (8_000, 10), (1, 1)])
def test_extreme_photos_stay_small_in_memory(shape: tuple[int, int]):
    tracemalloc.start()
    got = fit_canvas(make_photo(2, *shape), 64, "letterbox")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert got.shape == (64, 64, 3)
    assert peak < 100e6


def test_borders_are_black_and_the_photo_lies_in_the_middle():
    got = fit_canvas(np.full((20, 40, 3), 255, np.uint8), 40, "letterbox")
    assert (got[:10] == 0).all()
    assert (got[10:30] == 255).all()
    assert (got[30:] == 0).all()


def test_to_signed():
    got = to_signed(np.array([[[0, 255, 51]]], dtype=np.uint8))
    assert got.shape == (3, 1, 1)
    np.testing.assert_allclose(got[:, 0, 0], [-1, 1, -0.6], atol=1e-6)
