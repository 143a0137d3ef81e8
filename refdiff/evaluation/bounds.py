"""What a random and the best candidate reach, from the overlap that is already measured."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from refdiff.evaluation.metrics import Comparison, Outcomes, measure_iou, reach


def chance_outcomes(
    groups: NDArray[np.integer],
    intersection: NDArray[np.integer],
    union: NDArray[np.integer],
    truth_area: NDArray[np.integer],
    *,
    thresholds: Sequence[float],
    comparison: Comparison,
) -> Outcomes:
    """Exact expectation of a candidate drawn at random, every one equally likely.

    Args:
        groups: The choice (0 ... n - 1) that each of the m candidates belongs to, `[m]`.
        intersection: Pixels shared with that choice's truth, `[m]`.
        union: Pixels in either, `[m]`.
        truth_area: Pixels of the truth of each choice, `[n]`; a choice without candidates is an empty prediction.
        thresholds: The X of Pr@X.
        comparison: Whether X itself is a hit.
    """
    n = len(truth_area)
    counts = np.bincount(groups, minlength=n)
    empty = counts == 0
    iou = measure_iou(intersection, union)
    nothing = measure_iou(np.zeros(n), truth_area)

    def mean(values: NDArray[np.number], otherwise: NDArray[np.number]) -> NDArray[np.float64]:
        sums = np.bincount(groups, weights=values, minlength=n)
        return np.where(empty, otherwise, sums / np.maximum(counts, 1))

    hits = np.empty((n, len(thresholds)))
    for column, threshold in enumerate(thresholds):
        hits[:, column] = mean(reach(iou, [threshold], comparison)[:, 0], reach(nothing, [threshold], comparison)[:, 0])
    return Outcomes(
        mean(intersection, np.zeros(n)),
        mean(union, truth_area),
        mean(iou, nothing),
        hits,
    )


def oracle_outcomes(
    groups: NDArray[np.integer],
    intersection: NDArray[np.integer],
    union: NDArray[np.integer],
    truth_area: NDArray[np.integer],
    *,
    thresholds: Sequence[float],
    comparison: Comparison,
) -> Outcomes:
    """The candidate of the highest IoU of each choice (the first where several are equal).

    No choice among the same candidates has a higher mIoU or Pr@X. Its oIoU is no bound: a choice that favours large
    objects can have a higher one.

    Args:
        As `chance_outcomes`.
    """
    n = len(truth_area)
    best_intersection = np.zeros(n, dtype=np.int64)
    best_union = truth_area.astype(np.int64)
    if len(groups):
        order = np.lexsort((-measure_iou(intersection, union), groups))
        first = order[np.flatnonzero(np.diff(groups[order], prepend=-1))]
        best_intersection[groups[first]] = intersection[first]
        best_union[groups[first]] = union[first]
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
