import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from refdiff.errors import MaskError
from refdiff.masks.rle import encode_masks
from refdiff.masks.runs import decode_runs, level_sums, run_sums, separable_sums

stacks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=13))


@given(stacks, st.integers(0, 99))
def test_sums_are_those_of_the_pixels(masks: np.ndarray, seed: int) -> None:
    n, height, width = masks.shape
    rng = np.random.default_rng(seed)
    values, rows, columns = rng.random((height, width)), rng.random((height, 4)), rng.random((width, 5))
    runs = decode_runs(encode_masks(masks), height, width)
    assert (runs.area == masks.sum(axis=(1, 2))).all()
    np.testing.assert_allclose(run_sums(runs, values), (masks * values).sum(axis=(1, 2)), atol=1e-9)
    expected = np.einsum("yi,nyx,xj->nij", rows, masks, columns)
    np.testing.assert_allclose(separable_sums(runs, rows, columns), expected, rtol=1e-5, atol=1e-5)
    assert separable_sums(runs, rows, columns).shape == (n, 4, 5)


@given(stacks, st.integers(0, 99))
def test_sums_of_levels_are_exact(masks: np.ndarray, seed: int) -> None:
    _, height, width = masks.shape
    levels = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.int16)
    runs = decode_runs(encode_masks(masks), height, width)
    sums, total = level_sums(runs, np.ascontiguousarray(levels.T))
    assert sums.tolist() == (masks * levels.astype(int)).sum(axis=(1, 2)).tolist()
    assert total == levels.sum(dtype=int)


def test_no_masks() -> None:
    runs = decode_runs([], 3, 4)
    assert level_sums(runs, np.ones((4, 3), np.int16))[0].shape == (0,)
    assert run_sums(runs, np.ones((3, 4))).shape == (0,)
    assert separable_sums(runs, np.ones((3, 2)), np.ones((4, 2))).shape == (0, 2, 2)


def test_a_code_of_another_size_is_refused() -> None:
    codes = encode_masks(np.ones((1, 3, 4), np.bool_))
    with pytest.raises(MaskError, match=r"mask 0: run-length code covers 12 pixels; expected 3 x 5 = 15"):
        decode_runs(codes, 3, 5)


def test_values_of_another_size_are_refused() -> None:
    runs = decode_runs(encode_masks(np.ones((1, 3, 4), np.bool_)), 3, 4)
    with pytest.raises(MaskError, match=r"expected \[4, 3\] pixels, got \[3, 4\]"):
        run_sums(runs, np.ones((4, 3)))
    with pytest.raises(MaskError, match=r"expected \[4, 3\] pixels, got \[3, 4\]"):
        level_sums(runs, np.ones((3, 4), np.int16))
