"""One expression on one photo, in memory: score the proposals, drop what is filtered, choose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refdiff.fusion.candidates import find_candidates
from refdiff.fusion.choice import NO_CHOICE, decide, otsu_threshold
from refdiff.fusion.scores import ClipViews, Scores, check_scores, measure_views, runs_contrast, score_proposals
from refdiff.fusion.settings import MethodSettings
from refdiff.masks.runs import decode_runs
from refdiff.proposals.candidates import Proposals


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        index: Position of the chosen proposal; -1 when none is a candidate.
        kept: Which proposals are candidates, bool `[n]`.
        scores: Scores of all n proposals, NaN for those that are filtered out.
    """

    index: int
    kept: NDArray[np.bool_]
    scores: Scores


def choose_mask(
    method: MethodSettings,
    proposals: Proposals,
    heat: NDArray[np.floating] | None,
    views: ClipViews | None,
) -> Choice:
    """Choose one of a photo's proposals for an expression.

    Args:
        method: The method's row.
        proposals: The photo's, or the expression's; they are not decoded to pixels.
        heat: Heat of the expression on the photo, `[H W]`; needed where the method uses heat.
        views: Embeddings of all n proposals and of the texts; needed where the method uses CLIP.

    Raises:
        MaskError: Proposals and heat differ in size.
        ParameterError: The selection rule needs thresholds that the proposals do not have.
        ShardCorruptError: A part of a score is not finite.
        ValueError: The heat or the views that the method needs are missing.
    """
    areas, pixels = proposals.areas, proposals.height * proposals.width
    kept = find_candidates(areas, pixels, method.keep_largest, method.min_area_px)
    contrast = None
    if method.uses_heat and heat is not None:
        counts = [code for code, stays in zip(proposals.counts, kept, strict=True) if stays]
        contrast = runs_contrast(heat, decode_runs(counts, proposals.height, proposals.width))
    some = measure_views(take_views(views, kept)) if method.uses_clip and views is not None else None
    check_scores(
        (None if part is None else part[None] for part in (contrast, *(some or ()))), lambda _: "the expression"
    )
    scores = score_proposals(method, contrast, some)
    otsu = otsu_threshold(heat) if method.select.rule == "otsu" and heat is not None else None
    valid, thresholds = np.ones(int(kept.sum()), np.bool_), proposals.thresholds[kept]
    chosen = int(decide(method, scores, valid, areas[kept], pixels, thresholds=thresholds, otsu=otsu))
    index = int(np.flatnonzero(kept)[chosen]) if chosen != NO_CHOICE else NO_CHOICE
    return Choice(index, kept, _spread(scores, kept))


def take_views(views: ClipViews, rows: NDArray[np.bool_] | NDArray[np.integer]) -> ClipViews:
    """The views of some proposals, by mask or by index."""
    return ClipViews(views.local[rows], views.global_view[rows], views.expression, views.head)


def _spread(scores: Scores, kept: NDArray[np.bool_]) -> Scores:
    """Scores of the candidates at their places among all proposals."""
    spread = np.full((len(scores), len(kept)), np.nan)
    spread[:, kept] = np.stack(scores)
    return Scores(*spread)
