"""One expression on one photo, in memory: score the proposals, drop what is filtered, choose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refdiff.fusion.candidates import find_candidates
from refdiff.fusion.choice import NO_CHOICE, decide
from refdiff.fusion.scores import ClipViews, Scores, attention_contrast, score_proposals
from refdiff.fusion.settings import MethodSettings


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
    masks: NDArray[np.bool_],
    heat: NDArray[np.floating] | None,
    views: ClipViews | None,
    thresholds: NDArray[np.floating] | None,
) -> Choice:
    """Choose one of a photo's proposals for an expression.

    Args:
        method: The method's row.
        masks: Proposals, bool `[n H W]`.
        heat: Heat of the expression on the photo, `[H W]`; needed where the method uses heat.
        views: Embeddings of all n proposals and of the texts; needed where the method uses CLIP.
        thresholds: Heat threshold that each proposal was cut at, `[n]`; None when they were not cut from heat.

    Raises:
        MaskError: Masks and heat differ in size.
        ParameterError: The selection rule needs thresholds that the proposals do not have.
        ValueError: The heat or the views that the method needs are missing.
    """
    areas = np.count_nonzero(masks, axis=(1, 2))
    pixels = masks.shape[1] * masks.shape[2]
    kept = find_candidates(areas, pixels, method.keep_largest, method.min_area_px)
    cut = np.full(len(masks), np.nan) if thresholds is None else thresholds
    contrast = attention_contrast(heat, masks[kept]) if method.uses_heat and heat is not None else None
    some = take_views(views, kept) if method.uses_clip and views is not None else None
    scores = score_proposals(method, contrast, some)
    chosen = decide(method, scores, areas[kept], pixels, thresholds=cut[kept], heat=heat)
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
