"""Metrics as functions of intersections and unions, kept per expression so that any convention can be computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Comparison = Literal[">=", ">"]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What n expressions reach; expectations where the choice is random.

    Attributes:
        intersection: float64 `[n]`, pixels.
        union: float64 `[n]`, pixels.
        iou: float64 `[n]`, in [0, 1]; the mean of IoUs for a random choice, not the IoU of means.
        hits: float64 `[n X]`, 1 where the IoU reaches the threshold; a probability for a random choice.
    """

    intersection: NDArray[np.float64]
    union: NDArray[np.float64]
    iou: NDArray[np.float64]
    hits: NDArray[np.float64]


def measure_iou(intersection: NDArray[np.number], union: NDArray[np.number]) -> NDArray[np.float64]:
    """Intersection over union, `[n]`; 1 where both masks are empty (no target, and none predicted).

    Raises:
        ValueError: An intersection is larger than its union, or negative.
    """
    if np.any(intersection < 0) or np.any(intersection > union):
        raise ValueError("intersection: expected within 0 and the union")
    return np.divide(intersection, union, out=np.ones(len(union)), where=union > 0)


def reach(iou: NDArray[np.float64], thresholds: Sequence[float], comparison: Comparison) -> NDArray[np.float64]:
    """Which IoUs reach which thresholds, 1.0 or 0.0, `[n X]`."""
    levels = np.asarray(thresholds)
    reached = iou[:, None] >= levels if comparison == ">=" else iou[:, None] > levels
    return reached.astype(np.float64)


def outcomes_of(
    intersection: NDArray[np.number],
    union: NDArray[np.number],
    thresholds: Sequence[float],
    comparison: Comparison,
) -> Outcomes:
    """Outcomes of one definite mask per expression."""
    iou = measure_iou(intersection, union)
    return Outcomes(intersection.astype(np.float64), union.astype(np.float64), iou, reach(iou, thresholds, comparison))


def overall_iou(outcomes: Outcomes, weights: NDArray[np.float64]) -> float | None:
    """oIoU, also called cIoU: sum of intersections over sum of unions.

    Two empty masks add nothing to either sum. None where no pixel is left to count.
    """
    union = float(weights @ outcomes.union)
    return float(weights @ outcomes.intersection) / union if union > 0 else None


def mean_iou(outcomes: Outcomes, weights: NDArray[np.float64]) -> float | None:
    """mIoU, also called gIoU: mean of the IoUs. None without expressions."""
    return _mean(outcomes.iou, weights)


def precisions(outcomes: Outcomes, weights: NDArray[np.float64], targeted: NDArray[np.bool_]) -> list[float | None]:
    """Pr@X for every threshold: the share of the sentences with a target that reaches it. None without a target.

    Args:
        outcomes: n expressions.
        weights: Of each expression, `[n]`.
        targeted: Whether it has a target, bool `[n]`.

    Source: henghuiding/ReLA, gres_model/evaluation/refer_evaluation.py: no-target sentences count in no Pr@X.
    """
    return [_mean(column, weights * targeted) for column in outcomes.hits.T]


def target_accuracies(
    predicted: NDArray[np.bool_], weights: NDArray[np.float64], targeted: NDArray[np.bool_]
) -> dict[str, float | None]:
    """N-acc and T-acc; both None where every sentence has a target, and T-acc where none has.

    Args:
        predicted: Whether the prediction holds a pixel, bool `[n]`.
        weights: Of each expression, `[n]`.
        targeted: Whether it has a target, bool `[n]`.

    Source: henghuiding/ReLA, gres_model/evaluation/refer_evaluation.py.
    Differs: an empty mask is the answer "no target"; ReLA has a classifier for it.
    """
    if targeted.all():
        return {"N-acc": None, "T-acc": None}
    return {
        "N-acc": _mean((~predicted).astype(np.float64), weights * ~targeted),
        "T-acc": _mean(predicted.astype(np.float64), weights * targeted),
    }


def unit_weights(ref_ids: Sequence[str], unit: Literal["expression", "object"]) -> NDArray[np.float64]:
    """Weight of each expression, `[n]`: 1, or one share of its object's 1."""
    if unit == "expression" or not ref_ids:
        return np.ones(len(ref_ids))
    _, place, counts = np.unique(np.asarray(ref_ids), return_inverse=True, return_counts=True)
    return 1.0 / counts[place]


def precision_name(threshold: float) -> str:
    """`Pr@0.5` for 0.5."""
    return f"Pr@{threshold:g}"


def summarise(
    outcomes: Outcomes, weights: NDArray[np.float64], targeted: NDArray[np.bool_], thresholds: Sequence[float]
) -> dict[str, float | None]:
    """oIoU, mIoU and every Pr@X by name, as shares in [0, 1]."""
    named = zip(thresholds, precisions(outcomes, weights, targeted), strict=True)
    return {
        "oIoU": overall_iou(outcomes, weights),
        "mIoU": mean_iou(outcomes, weights),
        **{precision_name(threshold): value for threshold, value in named},
    }


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float | None:
    total = float(weights.sum())
    # A column of a larger array would be summed in another order than the same values side by side.
    return float(weights @ np.ascontiguousarray(values)) / total if total > 0 else None
