from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from refdiff.errors import MaskError
from refdiff.proposals.threshold import cut_heat
from tests.proposals.rows import threshold

MU = tuple(round(0.05 * step, 2) for step in range(1, 20))
heats = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(0, 1, width=32))


@given(heats)
def test_masks_are_nested_distinct_and_those_of_the_formula(heat: np.ndarray) -> None:
    found = cut_heat(heat, threshold(thresholds=MU))
    masks = found.masks
    assert len(set(found.counts)) == len(found)
    assert masks.any(axis=(1, 2)).all()
    assert (np.diff(found.thresholds) > 0).all()
    assert all((inner <= outer).all() for outer, inner in pairwise(masks))
    kept = found.thresholds
    for mu in MU:
        expected = heat >= mu
        if not expected.any():
            continue
        # A mask that was left out as a repetition is that of the highest threshold kept below it.
        row = np.flatnonzero(kept <= np.float32(mu))[-1]
        assert (masks[row] == expected).all()
    assert np.isnan(found.confidence).all()


@given(heats)
def test_parts_make_up_the_whole(heat: np.ndarray) -> None:
    mu = (0.5,)
    whole, parts = (cut_heat(heat, threshold(thresholds=mu, parts=kind)) for kind in ("whole", "components"))
    assert (parts.masks.sum(axis=0) == (heat >= 0.5)).all()
    assert len(parts) >= len(whole)


def test_parts_are_connected_over_corners_and_small_ones_are_left_out() -> None:
    heat = np.zeros((6, 9), np.float32)
    heat[0, 0] = heat[1, 1] = 1.0
    heat[3:6, 5:9] = 0.6
    heat[0, 8] = 0.6
    found = cut_heat(heat, threshold(thresholds=[0.5, 0.9], parts="components"))
    assert found.areas.tolist() == [2, 1, 12]
    assert found.thresholds.tolist() == [0.5, 0.5, 0.5]
    large = cut_heat(heat, threshold(thresholds=[0.5, 0.9], parts="components", min_part_px=2))
    assert large.areas.tolist() == [2, 12]


def test_no_heat_gives_no_proposal() -> None:
    assert len(cut_heat(np.zeros((5, 4), np.float32), threshold())) == 0


@pytest.mark.parametrize("heat", [np.full((3, 3), np.nan), np.zeros((2, 3, 3))])
def test_what_is_no_heat_is_refused(heat: np.ndarray) -> None:
    with pytest.raises(MaskError, match=r"heat: expected finite values \[height width\]"):
        cut_heat(heat, threshold())
