import numpy as np
import pytest

from refdiff.clip import mask_stack
from refdiff.clip.mask_stack import CodedMasks, iterate_masks
from refdiff.errors import MaskError
from refdiff.masks.rle import encode_masks


def test_coded_masks_are_decoded_slice_by_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = np.random.default_rng(0).random((7, 5, 6)) < 0.5
    monkeypatch.setattr(mask_stack, "SLICE_PIXELS", 2 * 5 * 6)
    found = list(iterate_masks(CodedMasks(encode_masks(masks), 5, 6), 5, 6))
    assert [index for index, _ in found] == list(range(7))
    np.testing.assert_array_equal(np.stack([mask for _, mask in found]), masks)


def test_an_empty_mask_is_refused_by_number() -> None:
    masks = np.ones((3, 2, 2), dtype=np.bool_)
    masks[1] = False
    with pytest.raises(MaskError, match="mask 1: is empty; expected at least one pixel"):
        list(iterate_masks(masks, 2, 2))


def test_numbers_are_no_masks() -> None:
    with pytest.raises(MaskError, match="expected bool, got uint8"):
        list(iterate_masks(np.ones((1, 2, 2), dtype=np.uint8), 2, 2))  # pyright: ignore[reportArgumentType]


def test_no_masks() -> None:
    assert list(iterate_masks(CodedMasks([], 4, 4), 4, 4)) == []
