import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from refdiff.errors import MaskError
from refdiff.masks.rle import (
    decode_mask,
    decode_masks,
    encode_mask,
    encode_masks,
    mask_areas,
    mask_boxes,
    mask_intersections,
    read_runs,
)

stacks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=17))


@given(stacks)
def test_decoding_gives_back_what_was_encoded(masks: np.ndarray) -> None:
    _, height, width = masks.shape
    codes = encode_masks(masks)
    assert (decode_masks(codes, height, width) == masks).all()
    assert (mask_areas(codes, height, width) == masks.sum(axis=(1, 2))).all()
    assert read_runs(codes).pairs.sum() == masks.size


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
    assert read_runs([code]).pairs.sum() == 99


@given(stacks)
def test_runs_of_many_codes_are_those_of_the_pixels(masks: np.ndarray) -> None:
    runs = read_runs(encode_masks(masks))
    assert len(runs.counts) == len(masks)
    for mask, first, count in zip(masks, runs.first, runs.counts, strict=True):
        pairs = runs.pairs[first : first + count]
        drawn = np.repeat(np.tile([False, True], count), pairs.ravel())
        assert (mask == drawn.reshape(mask.shape[::-1]).T).all()


@given(st.lists(st.binary(max_size=6) | st.text("0123456789PQ", max_size=6).map(str.encode), max_size=4))
def test_many_codes_are_read_as_each_alone(codes: list[bytes]) -> None:
    alone = []
    for code in codes:
        try:
            alone.append(read_runs([code]).pairs)
        except MaskError:
            with pytest.raises(MaskError):
                read_runs(codes)
            return
    runs = read_runs(codes)
    assert runs.counts.tolist() == [len(pairs) for pairs in alone]
    assert runs.pairs.tolist() == [pair for pairs in alone for pair in pairs.tolist()]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (b"", "is empty"),
        (b"1\xff1", "holds other characters"),
        (b"1 1", "holds other characters"),
        (b"11P", "is cut off"),
        (b"1PPPPPPPP1", "has a run that is longer than any image"),
        (b"1O", "has a run of fewer than 0 pixels"),
    ],
)
def test_what_is_no_code_is_named(code: bytes, reason: str) -> None:
    good = encode_mask(np.eye(3, dtype=np.bool_))
    with pytest.raises(MaskError, match=f"mask 2: run-length code {reason}; expected COCO's compressed counts"):
        read_runs([good, good, code, good])


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
