"""Fuse the scores of a split: one chosen mask for every expression."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff.fusion.choice import NO_CHOICE, decide
from refdiff.fusion.inputs import FusionInputs
from refdiff.fusion.parts import CandidateParts, measure_parts
from refdiff.fusion.predictions import PredictionTable
from refdiff.fusion.scores import Scores, score_proposals
from refdiff.fusion.settings import MethodSettings
from refdiff.heat.readout import ReadoutSettings
from refdiff.masks.rle import encode_mask
from refdiff.progress import Progress


def fuse_split(
    inputs: FusionInputs,
    method: MethodSettings,
    readout: ReadoutSettings | None,
    progress: Progress,
) -> PredictionTable:
    """Choose a mask for every expression of a split.

    Args:
        inputs: The split's tables and stores.
        method: The method's row.
        readout: Its readout; None where it uses no heat.
        progress: Called with steps and their number, once for each part of the score.

    Returns:
        A row per expression; one without a candidate has an empty mask.

    Raises:
        ParameterError: The readout or the selection rule does not fit what is stored.
        StoreMismatchError: The tables and stores do not belong to each other.
        ShardCorruptError: A shard is damaged.
    """
    parts = measure_parts(inputs, method, readout, progress)
    scores, chosen = choose_candidates(method, parts)
    return _assemble(inputs, parts, scores, chosen)


def choose_candidates(method: MethodSettings, parts: CandidateParts) -> tuple[Scores, NDArray[np.intp]]:
    """Scores of all candidates, and which of each expression is chosen, `[E]`, -1 for none.

    Args:
        method: Weights and selection rule.
        parts: Measured for this method, or for one that differs in weights, mixes and thresholds only.

    Raises:
        ParameterError: The selection rule does not fit the candidates.
    """
    scores = score_proposals(method, parts.generative, parts.similarities)
    chosen = decide(
        method,
        scores,
        parts.valid,
        parts.area,
        parts.pixels[:, None],
        thresholds=parts.threshold,
        otsu=parts.otsu,
    )
    return scores, chosen


def _assemble(inputs: FusionInputs, parts: CandidateParts, scores: Scores, chosen: NDArray[np.intp]) -> PredictionTable:
    """The table of the choices, with the overlap that was measured before."""
    dataset, proposals = inputs.dataset, inputs.proposals
    expressions = dataset.expressions
    height, width = (size[expressions.image_index] for size in (dataset.images.height, dataset.images.width))
    row = take_chosen(parts.proposal, chosen, NO_CHOICE)
    none = row < 0
    empty = {size: encode_mask(np.zeros(size, np.bool_)) for size in set(zip(height[none], width[none], strict=True))}
    counts = [
        proposals.counts[place] if place >= 0 else empty[height[index], width[index]]
        for index, place in enumerate(row.tolist())
    ]
    total, generative, local, global_view, discriminative = (
        take_chosen(part, chosen, np.nan).astype(np.float32) for part in scores
    )
    intersection, union = find_overlap(inputs, row)
    return PredictionTable(
        expression_index=np.arange(len(row), dtype=np.int32),
        expression_id=expressions.expression_id,
        ref_id=expressions.ref_id,
        image_id=expressions.image_id,
        sentence=expressions.sentence,
        image_index=expressions.image_index,
        target_index=expressions.target_index,
        proposal_index=row,
        counts=counts,
        height=height,
        width=width,
        score=total,
        score_generative=generative,
        score_local=local,
        score_global=global_view,
        score_discriminative=discriminative,
        threshold=take_chosen(parts.threshold, chosen, np.nan),
        n_proposals=parts.valid.sum(axis=1, dtype=np.int32),
        intersection=intersection,
        union=union,
    )


def take_chosen(values: NDArray[Any], chosen: NDArray[np.intp], otherwise: float) -> NDArray[Any]:
    """The chosen one of each row of `[E N]`, `[E]`; `otherwise` where none is."""
    taken = np.full(len(chosen), otherwise, values.dtype)
    rows = np.flatnonzero(chosen >= 0)
    taken[rows] = values[rows, chosen[rows]]
    return taken


def find_overlap(inputs: FusionInputs, chosen: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Intersection and union of masks with the truth of their expressions, shaped as `chosen`; -1 without truth.

    Args:
        inputs: The split.
        chosen: Rows of the proposals table, `[E]` or `[E N]`; -1 for an empty mask, which has 0 and the truth's area.

    Raises:
        StoreMismatchError: A pair was not measured.
    """
    targets = inputs.dataset.expressions.target_index
    target = np.broadcast_to(targets.reshape(-1, *(1 for _ in chosen.shape[1:])), chosen.shape)
    intersection, union = np.full(chosen.shape, -1, np.int64), np.full(chosen.shape, -1, np.int64)
    known, there = target >= 0, chosen >= 0
    nothing, both = known & ~there, known & there
    intersection[nothing], union[nothing] = 0, inputs.dataset.targets.area[target[nothing]]
    intersection[both], union[both] = inputs.overlap.lookup(target[both], chosen[both])
    return intersection, union
