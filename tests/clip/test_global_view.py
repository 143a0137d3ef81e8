import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from refdiff.clip.global_view import global_size, global_view, visible_patches
from refdiff.errors import MaskError


def test_a_photo_keeps_its_own_size_when_it_is_cropped() -> None:
    assert global_size(427, 640, 16, 672, "crop") == (427, 640)
    photo = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)
    view = global_view(photo, 16, 672, "crop", "bilinear")
    np.testing.assert_array_equal(view.pixels, photo[:32, :48])
    assert view.size == (40, 50)


def test_resize_takes_the_nearest_multiple() -> None:
    assert global_size(427, 640, 16, 672, "resize") == (432, 640)


def test_tiny_and_huge_photos_have_patches_and_bounded_cost() -> None:
    assert global_size(1, 1, 16, 672, "crop") == (16, 16)
    assert global_size(10, 20_000, 16, 672, "crop") == (16, 672)
    assert global_size(3000, 4000, 16, 672, "crop") == (504, 672)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 300), st.sampled_from(["crop", "resize"]))
def test_there_is_always_a_patch_and_never_too_many(height: int, width: int, bound: int, fit: str) -> None:
    size = global_size(height, width, 8, bound, fit)  # pyright: ignore[reportArgumentType]
    assert min(size) >= 8
    assert max(size) <= max(bound, 8) + 4  # `resize` may go up by half a patch


def test_visible_patches_are_the_mask_at_the_grid_by_nearest_neighbour() -> None:
    masks = np.random.default_rng(1).random((5, 67, 90)) < 0.5
    visible = visible_patches(masks, (67, 90), (4, 5))
    expected = F.interpolate(torch.from_numpy(masks[:, None].astype(np.float32)), (4, 5), mode="nearest")
    np.testing.assert_array_equal(visible, expected.numpy().reshape(5, 20) > 0)


def test_a_mask_between_sampled_pixels_sees_the_patch_that_holds_most_of_it() -> None:
    masks = np.zeros((2, 32, 32), dtype=np.bool_)
    masks[0, 9:11, 18:20] = True  # within patch row 1, column 2 of 8-pixel patches
    masks[1, 1:8, 7:8] = True  # column 0
    masks[1, 1:4, 9:10] = True  # fewer pixels in column 1
    visible = visible_patches(masks, (32, 32), (4, 4)).reshape(2, 4, 4)
    assert np.argwhere(visible[0]).tolist() == [[1, 2]]
    assert np.argwhere(visible[1]).tolist() == [[0, 0]]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6), st.integers(1, 6), st.integers(0, 10_000))
def test_every_mask_sees_something(height: int, width: int, rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((1, height, width), dtype=np.bool_)
    mask[0, rng.integers(height), rng.integers(width)] = True
    assert visible_patches(mask, (height, width), (rows, columns)).sum() >= 1


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(MaskError, match=r"expected bool \[n 8 9\] as the photo has, got \[1, 9, 8\]"):
        visible_patches(np.ones((1, 9, 8), dtype=np.bool_), (8, 9), (1, 1))
