import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from refdiff.clip.local_view import CropFrame, crop_size, local_view, mask_box

FRAME = CropFrame(image_px=224, patch_px=16, max_aspect=8.0, interpolation="bilinear", background_rgb=(0, 0, 0))


def _mask(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[rows, columns] = True
    return mask


def test_box_has_open_ends() -> None:
    assert mask_box(_mask(10, 12, slice(2, 5), slice(3, 12))) == (2, 3, 5, 12)


def test_shorter_side_becomes_the_image_size() -> None:
    assert crop_size(100, 200, FRAME) == (224, 448)
    assert crop_size(300, 100, FRAME) == (672, 224)
    assert crop_size(1, 1, FRAME) == (224, 224)


def test_thin_crop_is_bounded() -> None:
    # Without a bound this crop, from the issue, would become 224 x 17,920.
    assert crop_size(5, 400, FRAME) == (22, 1792)
    assert crop_size(400, 5, FRAME) == (1792, 22)
    assert crop_size(1, 20_000, FRAME) == (16, 1792)


@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(1.0, 20.0))
def test_cost_is_bounded_and_a_patch_is_left(height: int, width: int, max_aspect: float) -> None:
    frame = CropFrame(32, 8, max_aspect, "bilinear", (0, 0, 0))
    resized = crop_size(height, width, frame)
    assert 8 <= min(resized) <= 32
    assert max(resized) <= max_aspect * 32
    if max(height, width) <= max_aspect * min(height, width):
        assert min(resized) == 32


def test_outside_is_background_and_inside_is_the_photo() -> None:
    photo = np.full((64, 64, 3), (10, 20, 30), dtype=np.uint8)
    mask = _mask(64, 64, slice(8, 40), slice(8, 40))
    mask[8:24, 8:24] = False
    frame = CropFrame(32, 8, 4.0, "bilinear", (255, 0, 7))
    view = local_view(photo, mask, frame).pixels
    assert view.shape == (32, 32, 3)
    assert view[0, 0].tolist() == [255, 0, 7]
    assert view[-1, -1].tolist() == [10, 20, 30]


def test_resampling_is_that_of_pillow_on_the_crop() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    mask = _mask(50, 60, slice(5, 45), slice(10, 40))
    frame = CropFrame(24, 8, 4.0, "bilinear", (0, 0, 0))
    expected = Image.fromarray(photo[5:45, 10:40]).resize((24, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(local_view(photo, mask, frame).pixels, np.asarray(expected))


def test_pixels_beyond_the_last_patch_are_left_out() -> None:
    photo = np.zeros((40, 40, 3), dtype=np.uint8)
    view = local_view(photo, _mask(40, 40, slice(0, 20), slice(0, 33)), CropFrame(32, 8, 4.0, "bilinear", (0, 0, 0)))
    assert view.pixels.shape == (32, 48, 3)
    assert view.size == (32, 52)
