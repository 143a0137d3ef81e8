import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from refdiff.errors import MaskError
from refdiff.rle import (
    decode_mask,
    decode_masks,
    encode_mask,
    encode_masks,
    mask_areas,
    mask_boxes,
    mask_intersections,
    runs_length,
)

stacks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=17))


@given(stacks)
def test_decoding_gives_back_what_was_encoded(masks: np.ndarray) -> None:
    _, height, width = masks.shape
    codes = encode_masks(masks)
    assert (decode_masks(codes, height, width) == masks).all()
    assert (mask_areas(codes, height, width) == masks.sum(axis=(1, 2))).all()
    assert all(runs_length(code) == height * width for code in codes)


@given(stacks)
def test_intersections_are_those_of_the_pixels(masks: np.ndarray) -> None:
    _, height, width = masks.shape
    codes = encode_masks(masks)
    flat = masks.reshape(len(masks), -1).astype(np.int64)
    assert (mask_intersections(codes, codes, height, width) == flat @ flat.T).all()


def test_codes_are_those_of_pycocotools() -> None:
    mask = np.zeros((5, 7), dtype=np.bool_)
    mask[1:4, 2:6] = True
    assert encode_mask(mask) == coco.encode(np.asfortranarray(mask.view(np.uint8)))["counts"]


def test_no_masks_are_fine() -> None:
    assert encode_masks(np.zeros((0, 4, 4), dtype=np.bool_)) == []
    assert decode_masks([], 4, 6).shape == (0, 4, 6)
    assert mask_areas([], 4, 6).shape == (0,)


@pytest.mark.parametrize("bad", [np.zeros((4, 4), dtype=np.bool_), np.zeros((1, 4, 4), dtype=np.uint8)])
def test_only_stacks_of_booleans_are_encoded(bad: np.ndarray) -> None:
    with pytest.raises(MaskError, match=r"expected bool \[n height width\]"):
        encode_masks(bad)


def test_a_code_of_another_size_is_refused() -> None:
    code = encode_mask(np.ones((5, 7), dtype=np.bool_))
    with pytest.raises(MaskError, match="covers 35 pixels; expected 7 x 6 = 42"):
        decode_mask(code, 7, 6)


@given(st.binary(max_size=40))
def test_any_bytes_are_decoded_or_refused(code: bytes) -> None:
    try:
        mask = decode_mask(code, 9, 11)
    except MaskError:
        return
    assert mask.shape == (9, 11)
    assert runs_length(code) == 99


def test_three_thousand_masks_at_once() -> None:
    masks = np.random.default_rng(0).random((3000, 6, 5)) < 0.3
    codes = encode_masks(masks)
    assert (decode_masks(codes, 6, 5) == masks).all()
    assert (mask_areas(codes, 6, 5) == masks.sum(axis=(1, 2))).all()
    assert mask_boxes(codes, 6, 5).shape == (3000, 4)
    flat = masks.reshape(3000, -1).astype(np.int64)
    assert (mask_intersections(codes[:7], codes, 6, 5) == flat[:7] @ flat.T).all()
    assert (mask_intersections(codes, codes[:7], 6, 5) == flat @ flat[:7].T).all()


@given(stacks)
def test_boxes_hold_the_pixels_and_no_more(masks: np.ndarray) -> None:
    _, height, width = masks.shape
    for mask, (left, top, right, bottom) in zip(masks, mask_boxes(encode_masks(masks), height, width), strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        expected = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if len(rows) else (0, 0, 0, 0)
        assert (left, top, right, bottom) == expected
