import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from refdiff.evaluation.metrics import (
    mean_iou,
    measure_iou,
    outcomes_of,
    overall_iou,
    precision_name,
    precisions,
    reach,
    summarise,
    target_accuracies,
    unit_weights,
)

AT = (0.5, 0.7, 0.9)
pairs = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=20)


def _ones(n: int) -> np.ndarray:
    return np.ones(n)


def _all(n: int) -> np.ndarray:
    return np.ones(n, np.bool_)


def test_a_hand_worked_case() -> None:
    outcomes = outcomes_of(np.array([50, 0, 90, 30]), np.array([100, 40, 100, 40]), AT, ">=")
    summary = summarise(outcomes, _ones(4), _all(4), AT)
    assert summary["oIoU"] == pytest.approx(170 / 280)
    assert summary["mIoU"] == pytest.approx((0.5 + 0 + 0.9 + 0.75) / 4)
    assert (summary["Pr@0.5"], summary["Pr@0.7"], summary["Pr@0.9"]) == (0.75, 0.5, 0.25)


def test_an_iou_of_exactly_x_counts_or_not() -> None:
    iou = np.array([0.5, 0.7, 7 / 10, 0.9])
    assert reach(iou, AT, ">=").sum(axis=0).tolist() == [4, 3, 1]
    assert reach(iou, AT, ">").sum(axis=0).tolist() == [3, 1, 0]


def test_no_target_and_no_prediction() -> None:
    outcomes = outcomes_of(np.array([0, 0, 20]), np.array([0, 30, 40]), AT, ">=")
    assert outcomes.iou.tolist() == [1.0, 0.0, 0.5]
    assert mean_iou(outcomes, _ones(3)) == pytest.approx(0.5)
    assert overall_iou(outcomes, _ones(3)) == pytest.approx(20 / 70)
    assert precisions(outcomes, _ones(3), np.array([False, False, True])) == [1.0, 0.0, 0.0]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 9), st.integers(1, 9)), min_size=1))
def test_no_target_sentences_are_counted_as_by_the_authors_of_grefcoco(
    cases: list[tuple[bool, bool, int, int]],
) -> None:
    """Against ReLA's evaluator in plain words: true positives are no-targets that are answered so."""
    iou_sum, inter_sum, union_sum, hits = 0.0, 0, 0, [0, 0, 0]
    counts = {(target, answer): 0 for target in (True, False) for answer in (True, False)}
    shared, joint = [], []
    for target, answer, first, second in cases:
        # A prediction is empty or has `first` + 1 pixels; a truth is empty or has `second`, and they share the fewer.
        predicted, true = (first + 1) * answer, second * target
        inter, union = min(predicted, true), max(predicted, true)
        counts[target, answer] += 1
        iou = inter / union if union else 1.0
        iou_sum, inter_sum, union_sum = iou_sum + iou, inter_sum + inter, union_sum + union
        if target:
            hits = [hit + (iou >= threshold) for hit, threshold in zip(hits, AT, strict=True)]
        shared.append(inter)
        joint.append(union)
    outcomes = outcomes_of(np.array(shared), np.array(joint), AT, ">=")
    targeted, predicted_any = np.array([case[0] for case in cases]), np.array([case[1] for case in cases])
    n, with_target = len(cases), int(targeted.sum())
    assert mean_iou(outcomes, _ones(n)) == pytest.approx(iou_sum / n)
    assert overall_iou(outcomes, _ones(n)) == (pytest.approx(inter_sum / union_sum) if union_sum else None)
    expected = [hit / with_target for hit in hits] if with_target else [None] * 3
    assert precisions(outcomes, _ones(n), targeted) == [
        each if each is None else pytest.approx(each) for each in expected
    ]
    found = target_accuracies(predicted_any, _ones(n), targeted)
    if with_target == n:
        assert found == {"N-acc": None, "T-acc": None}
    else:
        assert found["N-acc"] == pytest.approx(counts[False, False] / (n - with_target))
        assert found["T-acc"] == (pytest.approx(counts[True, True] / with_target) if with_target else None)


def test_nothing_to_count_is_none() -> None:
    nothing = outcomes_of(np.zeros(0), np.zeros(0), AT, ">=")
    assert set(summarise(nothing, _ones(0), _all(0), AT).values()) == {None}
    only_empty = outcomes_of(np.zeros(1), np.zeros(1), AT, ">=")
    assert overall_iou(only_empty, _ones(1)) is None
    assert mean_iou(only_empty, _ones(1)) == 1.0
    assert precisions(only_empty, _ones(1), ~_all(1)) == [None, None, None]


def test_an_intersection_beyond_the_union_is_refused() -> None:
    with pytest.raises(ValueError, match="within 0 and the union"):
        measure_iou(np.array([3]), np.array([2]))


def test_objects_share_their_weight() -> None:
    weights = unit_weights(["a", "b", "a", "a"], "object")
    assert weights.tolist() == pytest.approx([1 / 3, 1, 1 / 3, 1 / 3])
    assert unit_weights(["a", "b", "a"], "expression").tolist() == [1, 1, 1]
    assert unit_weights([], "object").tolist() == []
    outcomes = outcomes_of(np.array([10, 0, 0, 0]), np.array([10, 10, 10, 10]), AT, ">=")
    assert mean_iou(outcomes, weights) == pytest.approx((1 / 3 + 0) / 2)


def test_names_of_precisions() -> None:
    assert [precision_name(x) for x in (0.5, 0.75, 1.0)] == ["Pr@0.5", "Pr@0.75", "Pr@1"]


@given(
    arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)),
    st.integers(0, 99),
)
def test_iou_is_that_of_pycocotools(first: np.ndarray, seed: int) -> None:
    second = np.random.default_rng(seed).random(first.shape) < 0.5
    shared, joint = (first & second).sum(axis=(1, 2)), (first | second).sum(axis=(1, 2))
    ours = measure_iou(shared, joint)
    for a, b, iou, union in zip(first, second, ours, joint, strict=True):
        codes = [coco.encode(np.asfortranarray(mask.view(np.uint8))) for mask in (a, b)]
        if union:
            assert np.asarray(coco.iou([codes[0]], [codes[1]], [0]))[0, 0] == pytest.approx(iou)
        else:
            assert iou == 1.0


@given(pairs)
def test_metrics_are_in_their_range_and_precision_falls(values: list[tuple[int, int]]) -> None:
    shared = np.array([min(pair) for pair in values])
    joint = np.array([max(pair) for pair in values])
    outcomes = outcomes_of(shared, joint, (0.0, 0.25, 0.5, 0.75, 1.0), ">=")
    weights = _ones(len(values))
    overall, mean = overall_iou(outcomes, weights), mean_iou(outcomes, weights)
    assert mean is not None
    assert 0.0 <= mean <= 1.0
    assert (overall is None) == (joint.sum() == 0)
    if overall is not None:
        used = outcomes.iou[joint > 0]
        assert used.min() - 1e-12 <= overall <= used.max() + 1e-12
    values_at = [value for value in precisions(outcomes, weights, _all(len(values))) if value is not None]
    assert values_at == sorted(values_at, reverse=True)
    assert values_at[0] == 1.0


@given(pairs, st.randoms(use_true_random=False))
def test_order_does_not_matter(values: list[tuple[int, int]], random: object) -> None:
    pairs_again = list(values)
    random.shuffle(pairs_again)  # type: ignore[attr-defined]
    summaries = [
        summarise(
            outcomes_of(np.array([min(p) for p in some]), np.array([max(p) for p in some]), AT, ">="),
            _ones(len(some)),
            _all(len(some)),
            AT,
        )
        for some in (values, pairs_again)
    ]
    for name, value in summaries[0].items():
        assert summaries[1][name] == (None if value is None else pytest.approx(value))
