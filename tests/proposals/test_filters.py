from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from refdiff.errors import MaskError
from refdiff.proposals.candidates import Proposals, of_codes, of_masks
from refdiff.proposals.filters import distinct, filter_proposals, largest
from tests.proposals.rows import boxes, filters

stacks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9))


def _distinct_slowly(masks: NDArray[np.bool_], confidence: NDArray[np.floating], iou: float) -> list[int]:
    kept: list[int] = []
    for row in sorted(range(len(masks)), key=lambda i: (-confidence[i], i)):
        pairs = [((masks[row] & masks[j]).sum(), (masks[row] | masks[j]).sum()) for j in kept]
        if not any(shared >= iou * joint for shared, joint in pairs):
            kept.append(row)
    return sorted(kept)


@given(stacks, st.sampled_from([0.3, 0.5, 2 / 3, 0.85, 1.0]), st.data())
def test_duplicates_are_found_as_by_comparing_all_pixels(masks: np.ndarray, iou: float, data: Any) -> None:
    masks = masks[masks.any(axis=(1, 2))]
    score = st.sampled_from([0.25, 0.5, 0.75])
    confidence = np.array([data.draw(score) for _ in masks], np.float32)
    found = distinct(of_masks(masks, confidence), iou)
    assert found.tolist() == _distinct_slowly(masks, confidence, iou)


def test_of_two_alike_the_more_confident_stays_and_the_first_of_equals() -> None:
    masks = boxes(20, 20, (0, 0, 10, 10), (0, 0, 10, 9), (12, 12, 18, 18), (12, 12, 18, 18))
    assert distinct(of_masks(masks, [0.2, 0.9, 0.5, 0.5]), 0.9).tolist() == [1, 2]
    assert distinct(of_masks(masks), 0.9).tolist() == [0, 2]
    assert distinct(of_masks(masks), 0.95).tolist() == [0, 1, 2]


def test_a_mask_that_is_out_removes_no_other() -> None:
    chain = boxes(10, 30, (0, 0, 10, 10), (0, 3, 10, 13), (0, 6, 10, 16))
    assert distinct(of_masks(chain, [0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]


@given(arrays(np.int64, st.integers(0, 20), elements=st.integers(1, 5)), st.integers(1, 25))
def test_the_largest_are_kept_in_their_order(areas: np.ndarray, n: int) -> None:
    rows = largest(areas, n)
    assert len(rows) == min(n, len(areas))
    assert (np.diff(rows) > 0).all()
    out = np.setdiff1d(np.arange(len(areas)), rows)
    if len(out):
        assert areas[rows].min() >= areas[out].max()
        tied = areas == areas[rows].min()
        assert rows[tied[rows]].tolist() == np.flatnonzero(tied)[: tied[rows].sum()].tolist()


def test_the_filters_together() -> None:
    masks = boxes(30, 30, (0, 0, 0, 0), (0, 0, 2, 2), (0, 0, 10, 10), (0, 0, 10, 10), (15, 0, 20, 5), (15, 15, 29, 29))
    proposals = of_masks(masks, [1.0, 1.0, 0.1, 0.2, 0.3, 0.4])
    kept = filter_proposals(proposals, filters(min_area_px=5, duplicate_iou=0.9, max_proposals=2))
    assert kept.areas.tolist() == [100, 196]
    assert kept.confidence.tolist() == pytest.approx([0.2, 0.4])
    assert filter_proposals(proposals, filters()).areas.tolist() == [4, 100, 100, 25, 196]


def test_no_proposals_pass() -> None:
    kept = filter_proposals(of_codes([], 5, 7), filters(duplicate_iou=0.5, max_proposals=3))
    assert len(kept) == 0
    assert kept.masks.shape == (0, 5, 7)


@pytest.mark.timeout(60)
def test_three_thousand_proposals_pass() -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros((3000, 120, 160), np.bool_)
    for mask in masks:
        top, left = rng.integers(0, 80), rng.integers(0, 120)
        mask[top : top + rng.integers(3, 40), left : left + rng.integers(3, 40)] = True
    proposals = of_masks(masks, rng.random(3000))
    kept = filter_proposals(proposals, filters(duplicate_iou=0.85))
    assert 1000 < len(kept) < 3000
    alike = distinct(kept, 0.85)
    assert len(alike) == len(kept)


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(MaskError, match="1 masks; expected as many confidences and thresholds, got"):
        Proposals(2, 2, (b"04",), np.zeros(2, np.float32), np.zeros(1, np.float32))
