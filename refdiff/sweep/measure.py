"""What weightings reach on a split: parts of the scores are measured once, then each weighting chooses among them."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from refdiff.evaluation.metrics import outcomes_of, summarise, unit_weights
from refdiff.evaluation.settings import EvaluateMasksSettings
from refdiff.fusion.choice import NO_CHOICE
from refdiff.fusion.inputs import FusionInputs
from refdiff.fusion.parts import CandidateParts, measure_parts
from refdiff.fusion.run import choose_candidates, find_overlap, take_chosen
from refdiff.fusion.scores import Similarities
from refdiff.fusion.settings import MethodSettings
from refdiff.heat.readout import ReadoutSettings
from refdiff.progress import Progress

BLOCK_PLACES = 1 << 15
"""Candidates that are weighed at a time: their parts stay in the processor's cache while all weightings pass."""

Metrics = dict[str, float | None]


def measure_weightings(
    inputs: FusionInputs,
    methods: Sequence[MethodSettings],
    readout: ReadoutSettings | None,
    evaluating: EvaluateMasksSettings,
    progress: Progress,
) -> list[Metrics]:
    """oIoU, mIoU and Pr@X of every weighting, the figures that fuse_scores and evaluate_masks give for its row.

    Args:
        inputs: The split, opened for `widest_row(methods)`.
        methods: Rows that differ in weights, text mixes, area power and threshold only.
        readout: Their readout; None where no heat is used.
        evaluating: Conventions.
        progress: Called with steps and their number.

    Raises:
        ParameterError: A selection rule does not fit the candidates.
        StoreError: An artifact is damaged or does not fit.
    """
    parts = measure_parts(inputs, widest_row(methods), readout, progress)
    chosen = _choose_all(methods, parts, progress)
    shared, joint = find_overlap(inputs, parts.proposal)
    targets = inputs.dataset.expressions.target_index
    counted = np.flatnonzero(targets >= 0)
    nothing = inputs.dataset.targets.area[targets[counted]]
    targeted = inputs.dataset.targets.instances[targets[counted]] > 0
    weights = unit_weights([inputs.dataset.expressions.ref_id[row] for row in counted], evaluating.unit)
    shared, joint = shared[counted], joint[counted]
    metrics = []
    for each in chosen[:, counted]:
        without = each == NO_CHOICE
        intersection, union = take_chosen(shared, each, 0), take_chosen(joint, each, 0)
        union[without] = nothing[without]
        outcomes = outcomes_of(intersection, union, evaluating.precision_at, evaluating.comparison)
        metrics.append(summarise(outcomes, weights, targeted, evaluating.precision_at))
    return metrics


def widest_row(methods: Sequence[MethodSettings]) -> MethodSettings:
    """A row that uses every part that any of the rows uses."""
    names = ("generative_weight", "discriminative_weight")
    return methods[0].model_copy(update={name: max(getattr(each, name) for each in methods) for name in names})


def _choose_all(methods: Sequence[MethodSettings], parts: CandidateParts, progress: Progress) -> NDArray[np.int32]:
    """What every weighting chooses, `[weighting E]`, by the function that fuse_scores chooses with."""
    total, width = parts.valid.shape
    step = max(1, BLOCK_PLACES // max(width, 1))
    chosen = np.empty((len(methods), total), np.int32)
    starts = range(0, total, step)
    for start in progress(starts, len(starts)):
        rows = slice(start, min(start + step, total))
        block = _take_rows(parts, rows)
        for number, method in enumerate(methods):
            chosen[number, rows] = choose_candidates(method, block)[1]
    return chosen


def _take_rows(parts: CandidateParts, rows: slice) -> CandidateParts:
    """Parts of some expressions."""
    taken = {
        field.name: value[rows]
        for field in fields(parts)
        if (value := getattr(parts, field.name)) is not None and field.name != "similarities"
    }
    if parts.similarities is not None:
        taken["similarities"] = Similarities(*(each[rows] for each in parts.similarities))
    return replace(parts, **taken)
