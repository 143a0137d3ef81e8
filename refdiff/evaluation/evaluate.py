"""Metrics and curves of one method on one split, beside what chance and the best candidate reach."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff.dataset.tables import Dataset
from refdiff.errors import StoreMismatchError
from refdiff.evaluation.bounds import Choices, chance_outcomes, oracle_outcomes, take_outcomes
from refdiff.evaluation.conventions import describe_conventions
from refdiff.evaluation.files import CURVE_FIELDS
from refdiff.evaluation.metrics import (
    Outcomes,
    outcomes_of,
    precisions,
    summarise,
    target_accuracies,
    unit_weights,
)
from refdiff.evaluation.settings import EvaluateMasksSettings
from refdiff.fusion.candidates import table_candidates
from refdiff.fusion.predictions import PredictionTable
from refdiff.fusion.settings import MethodSettings
from refdiff.masks.overlap import OverlapTable
from refdiff.proposals.tables import ProposalTable

CURVE_THRESHOLDS = tuple(round(step / 100, 2) for step in range(101))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is written of a method on a split, as plain containers.

    Attributes:
        metrics: metrics.json: figures, which DVC shows and compares.
        details: details.json: what the figures are of, and what they mean.
        curves: curves.json: a record for each threshold, which DVC draws.
    """

    metrics: dict[str, Any]
    details: dict[str, Any]
    curves: list[dict[str, float | None]]


def evaluate(
    predictions: PredictionTable,
    dataset: Dataset,
    proposals: ProposalTable,
    overlap: OverlapTable,
    *,
    method: MethodSettings,
    settings: EvaluateMasksSettings,
) -> Evaluation:
    """Evaluate the predictions of one method on one split.

    Args:
        predictions: One row per expression.
        dataset: The split.
        proposals: What the method chose from.
        overlap: Its overlap with the true masks.
        method: The row of the method; its filters define the candidates of chance and oracle.
        settings: Conventions.

    Raises:
        StoreMismatchError: The predictions, or the overlap, are not of this dataset and these proposals.

    Source: docs/method.md, "Metrics".
    """
    if predictions.expression_id != dataset.expressions.expression_id:
        raise StoreMismatchError(
            f"predictions: expected the {len(dataset.expressions.expression_id)} expressions of the dataset in order, "
            f"got {len(predictions)} others; run `dvc repro`"
        )
    if not np.array_equal(predictions.target_index, dataset.expressions.target_index):
        raise StoreMismatchError("predictions: point to other targets than the dataset's expressions; run `dvc repro`")
    ends = ((overlap.target_index, len(dataset.targets.ref_id)), (overlap.proposal_index, len(proposals)))
    if any(index.max(initial=-1) >= end for index, end in ends):
        raise StoreMismatchError("overlap: measured on other targets or proposals than there are; run `dvc repro`")
    counted = np.flatnonzero(predictions.target_index >= 0)
    weights = unit_weights([predictions.ref_id[row] for row in counted], settings.unit)
    targeted = dataset.targets.instances[predictions.target_index[counted]] > 0
    thresholds = (*settings.precision_at, *CURVE_THRESHOLDS)
    reached = {
        "method": outcomes_of(
            predictions.intersection[counted], predictions.union[counted], thresholds, settings.comparison
        ),
        **_bounds(dataset, proposals, overlap, counted, method=method, settings=settings, thresholds=thresholds),
    }
    cut = len(settings.precision_at)
    summaries = {
        name: summarise(_columns(outcomes, slice(0, cut)), weights, targeted, settings.precision_at)
        for name, outcomes in reached.items()
    }
    metrics = {
        **summaries["method"],
        **target_accuracies(predictions.proposal_index[counted] >= 0, weights, targeted),
        "n_evaluated": len(counted),
        **{name: {"mIoU": summaries[name]["mIoU"]} for name in ("chance", "oracle")},
    }
    details = {
        **_counts(predictions, dataset, counted, targeted),
        "bounds": {name: summaries[name] for name in ("chance", "oracle")},
        "iou_histogram": _histogram(reached["method"].iou, weights, settings.histogram_bins),
        "selection_rule": method.select.describe(),
        "conventions": describe_conventions(settings),
    }
    drawn = {
        CURVE_FIELDS[name]: precisions(_columns(outcomes, slice(cut, None)), weights, targeted)
        for name, outcomes in reached.items()
    }
    columns = {"threshold": CURVE_THRESHOLDS, **drawn}
    curves = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return Evaluation(metrics, details, curves)


def _bounds(
    dataset: Dataset,
    proposals: ProposalTable,
    overlap: OverlapTable,
    counted: NDArray[np.integer],
    *,
    method: MethodSettings,
    settings: EvaluateMasksSettings,
    thresholds: tuple[float, ...],
) -> dict[str, Outcomes]:
    """Chance and oracle of the counted expressions."""
    kept = table_candidates(proposals, dataset, method)[overlap.proposal_index]
    target_of = dataset.expressions.target_index
    if proposals.per_expression:
        groups = proposals.expression_index[overlap.proposal_index[kept]]
        areas = np.zeros(len(target_of), np.int64)
        areas[counted] = dataset.targets.area[target_of[counted]]
        rows = counted
    else:
        groups = overlap.target_index[kept]
        areas = dataset.targets.area
        rows = target_of[counted]
    choices = Choices(groups, overlap.intersection[kept], overlap.union[kept], areas)
    bounds = {"chance": chance_outcomes, "oracle": oracle_outcomes}
    return {
        name: take_outcomes(bound(choices, thresholds, settings.comparison), rows) for name, bound in bounds.items()
    }


def _counts(
    predictions: PredictionTable, dataset: Dataset, counted: NDArray[np.integer], targeted: NDArray[np.bool_]
) -> dict[str, Any]:
    return {
        "n_expressions": len(predictions),
        "n_objects": len({predictions.ref_id[row] for row in counted}),
        "n_without_truth": len(predictions) - len(counted),
        "n_no_target": int((~targeted).sum()),
        "n_no_candidate": int((predictions.n_proposals == 0).sum()),
        "n_dropped": len(dataset.meta.get("dropped", [])),
        "mean_candidates": float(predictions.n_proposals.mean()) if len(predictions) else None,
    }


def _columns(outcomes: Outcomes, columns: slice) -> Outcomes:
    return Outcomes(outcomes.intersection, outcomes.union, outcomes.iou, outcomes.hits[:, columns])


def _histogram(iou: NDArray[np.float64], weights: NDArray[np.float64], bins: int) -> dict[str, list[float]]:
    """Weight of the expressions in each bin; the last bin has both its edges."""
    counts, edges = np.histogram(iou, bins=bins, range=(0.0, 1.0), weights=weights)
    return {"edges": edges.tolist(), "counts": counts.tolist()}
