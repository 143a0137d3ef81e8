import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff.evaluation.bounds import Choices, chance_outcomes, oracle_outcomes, take_outcomes
from refdiff.evaluation.metrics import mean_iou, measure_iou, outcomes_of

AT = (0.5, 0.9)


def _candidates(seed: int) -> tuple[np.ndarray, ...]:
    """Choices with none to five candidates each, some with an empty truth."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    truth = rng.integers(0, 30, n) * rng.integers(0, 2, n)
    groups = np.repeat(np.arange(n), rng.integers(0, 6, n))
    shared = rng.integers(0, truth[groups] + 1) if len(groups) else groups
    joint = truth[groups] + rng.integers(1, 30, len(groups))
    return groups, shared, joint, truth


def test_chance_of_a_hand_worked_case() -> None:
    groups = np.array([0, 0, 2])
    outcomes = chance_outcomes(
        Choices(groups, np.array([10, 5, 0]), np.array([10, 20, 8]), np.array([10, 7, 0, 0])),
        thresholds=AT,
        comparison=">=",
    )
    assert outcomes.intersection.tolist() == [7.5, 0, 0, 0]
    assert outcomes.union.tolist() == [15, 7, 8, 0]
    assert outcomes.iou.tolist() == [0.625, 0, 0, 1]
    assert outcomes.hits.tolist() == [[0.5, 0.5], [0, 0], [0, 0], [1, 1]]


def test_oracle_of_a_hand_worked_case() -> None:
    groups = np.array([0, 0, 0, 2])
    outcomes = oracle_outcomes(
        Choices(groups, np.array([5, 10, 20, 0]), np.array([20, 20, 40, 8]), np.array([20, 7, 0, 0])),
        thresholds=AT,
        comparison=">=",
    )
    assert outcomes.intersection.tolist() == [10, 0, 0, 0]
    assert outcomes.union.tolist() == [20, 7, 8, 0]
    assert outcomes.iou.tolist() == [0.5, 0, 0, 1]
    assert outcomes.hits[:, 0].tolist() == [1, 0, 0, 1]


def test_rows_may_be_taken_several_times() -> None:
    outcomes = outcomes_of(np.array([1, 2]), np.array([4, 4]), AT, ">=")
    assert take_outcomes(outcomes, np.array([1, 0, 1])).iou.tolist() == [0.5, 0.25, 0.5]


@given(st.integers(0, 5000), st.sampled_from([">=", ">"]))
def test_chance_is_the_mean_over_every_candidate(seed: int, comparison) -> None:
    groups, shared, joint, truth = _candidates(seed)
    outcomes = chance_outcomes(Choices(groups, shared, joint, truth), thresholds=AT, comparison=comparison)
    for index, area in enumerate(truth):
        mine = groups == index
        a, b = (shared[mine], joint[mine]) if mine.any() else (np.zeros(1), np.array([area]))
        single = outcomes_of(a, b, AT, comparison)
        assert outcomes.intersection[index] == pytest.approx(a.mean())
        assert outcomes.union[index] == pytest.approx(b.mean())
        assert outcomes.iou[index] == pytest.approx(single.iou.mean())
        assert outcomes.hits[index].tolist() == pytest.approx(single.hits.mean(axis=0).tolist())


@given(st.integers(0, 5000), st.randoms(use_true_random=False))
def test_no_choice_is_better_than_the_oracle_and_chance_is_below(seed: int, random) -> None:
    groups, shared, joint, truth = _candidates(seed)
    oracle = oracle_outcomes(Choices(groups, shared, joint, truth), thresholds=AT, comparison=">=")
    chance = chance_outcomes(Choices(groups, shared, joint, truth), thresholds=AT, comparison=">=")
    chosen_shared, chosen_joint = np.zeros(len(truth), np.int64), truth.copy()
    for index in set(groups.tolist()):
        row = random.choice(np.flatnonzero(groups == index).tolist())
        chosen_shared[index], chosen_joint[index] = shared[row], joint[row]
    anyone = measure_iou(chosen_shared, chosen_joint)
    weights = np.ones(len(truth))
    assert (oracle.iou >= anyone).all()
    assert (oracle.iou >= chance.iou - 1e-12).all()
    assert (oracle.hits >= chance.hits - 1e-12).all()
    best, mean = mean_iou(oracle, weights), mean_iou(chance, weights)
    assert best is not None
    assert mean is not None
    assert best >= mean - 1e-12
