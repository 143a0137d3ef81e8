"""What a random and the best candidate reach, from the overlap that is already measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refdiff.evaluation.metrics import Comparison, Outcomes, measure_iou, reach


@dataclass(frozen=True, slots=True)
class Choices:
    """n choices, and what each of their m candidates in all would reach.

    Attributes:
        groups: The choice (0 ... n - 1) that each candidate belongs to, `[m]`.
        intersection: Pixels shared with that choice's truth, `[m]`.
        union: Pixels in either, `[m]`.
        truth_area: Pixels of the truth of each choice, `[n]`; a choice without candidates is an empty prediction.
    """

    groups: NDArray[np.integer]
    intersection: NDArray[np.integer]
    union: NDArray[np.integer]
    truth_area: NDArray[np.integer]


def chance_outcomes(choices: Choices, thresholds: Sequence[float], comparison: Comparison) -> Outcomes:
    """Exact expectation of a candidate drawn at random, every one equally likely.

    Args:
        choices: The candidates.
        thresholds: The X of Pr@X.
        comparison: Whether X itself is a hit.
    """
    groups, truth_area = choices.groups, choices.truth_area
    n = len(truth_area)
    counts = np.bincount(groups, minlength=n)
    empty = counts == 0
    iou = measure_iou(choices.intersection, choices.union)
    nothing = measure_iou(np.zeros(n), truth_area)

    def mean(values: NDArray[np.number], otherwise: NDArray[np.number]) -> NDArray[np.float64]:
        sums = np.bincount(groups, weights=values, minlength=n)
        return np.where(empty, otherwise, sums / np.maximum(counts, 1))

    hits = np.empty((n, len(thresholds)))
    for column, threshold in enumerate(thresholds):
        hits[:, column] = mean(reach(iou, [threshold], comparison)[:, 0], reach(nothing, [threshold], comparison)[:, 0])
    return Outcomes(
        mean(choices.intersection, np.zeros(n)),
        mean(choices.union, truth_area),
        mean(iou, nothing),
        hits,
    )


def oracle_outcomes(choices: Choices, thresholds: Sequence[float], comparison: Comparison) -> Outcomes:
    """The candidate of the highest IoU of each choice (the first where several are equal).

    No choice among the same candidates has a higher mIoU or Pr@X. Its oIoU is no bound: a choice that favours large
    objects can have a higher one.

    Args:
        As `chance_outcomes`.
    """
    groups, truth_area = choices.groups, choices.truth_area
    n = len(truth_area)
    best_intersection = np.zeros(n, dtype=np.int64)
    best_union = truth_area.astype(np.int64)
    if len(groups):
        order = np.lexsort((-measure_iou(choices.intersection, choices.union), groups))
        first = order[np.flatnonzero(np.diff(groups[order], prepend=-1))]
        best_intersection[groups[first]] = choices.intersection[first]
        best_union[groups[first]] = choices.union[first]
    iou = measure_iou(best_intersection, best_union)
    return Outcomes(
        best_intersection.astype(np.float64),
        best_union.astype(np.float64),
        iou,
        reach(iou, thresholds, comparison),
    )


def take_outcomes(outcomes: Outcomes, rows: NDArray[np.integer]) -> Outcomes:
    """The outcomes of some choices, in the order of `rows`; a row may come several times."""
    return Outcomes(outcomes.intersection[rows], outcomes.union[rows], outcomes.iou[rows], outcomes.hits[rows])
