"""The two scores of a proposal and their sum.

Source: arXiv 2308.16777, generative and discriminative matching; released code, score functions (method.md).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import DegenerateMaskError, MaskError
from refdiff.fusion.settings import MethodSettings, TextMix
from refdiff.heat import PooledMasks
from refdiff.mask_runs import MaskRuns, run_sums


@dataclass(frozen=True, slots=True)
class ClipViews:
    """Unit-length CLIP embeddings that one expression's proposals are scored with.

    Attributes:
        local: float `[n D]`, crops of the masked photo.
        global_view: float `[n D]`, class tokens that see the patches of each mask.
        expression: float `[D]`, the whole expression.
        head: float `[D]`, its head word alone.
    """

    local: NDArray[np.floating]
    global_view: NDArray[np.floating]
    expression: NDArray[np.floating]
    head: NDArray[np.floating]


class Scores(NamedTuple):
    """Scores of n proposals, float64 `[n]` each; NaN where a part is not in the method."""

    total: NDArray[np.float64]
    generative: NDArray[np.float64]
    local: NDArray[np.float64]
    global_view: NDArray[np.float64]
    discriminative: NDArray[np.float64]


def attention_contrast(heat: NDArray[np.floating], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean heat inside each mask minus mean heat outside.

    Args:
        heat: Heat of one expression on its photo, `[H W]`, values in [0, 1].
        masks: Proposals, bool `[n H W]`.

    Returns:
        One score per proposal in [-1, 1].

    Raises:
        MaskError: Masks and heat differ in size.
        DegenerateMaskError: A mask is empty or covers the whole photo.

    Source: arXiv 2308.16777, generative matching; released code, the same.
    Differs: no epsilon in the denominators.
    """
    if masks.ndim != 3 or masks.shape[1:] != heat.shape or masks.dtype != np.bool_:
        raise MaskError(f"masks: expected bool [n *{list(heat.shape)}], got {masks.dtype} {list(masks.shape)}")
    values = heat.astype(np.float64)
    inside = np.array([values[mask].sum() for mask in masks])
    area = np.count_nonzero(masks, axis=(1, 2))
    return _contrast(inside, float(values.sum()), area, values.size)


def runs_contrast(heat: NDArray[np.floating], runs: MaskRuns) -> NDArray[np.float64]:
    """`attention_contrast` of masks that are given as runs; they are not decoded to pixels.

    Raises:
        MaskError: Masks and heat differ in size.
        DegenerateMaskError: A mask is empty or covers the whole photo.
    """
    inside = run_sums(runs, heat)
    return _contrast(inside, float(heat.sum(dtype=np.float64)), runs.area, heat.size)


def pooled_contrast(grid: NDArray[np.floating], pooled: PooledMasks) -> NDArray[np.float64]:
    """`attention_contrast` of the upsampled `grid`, without upsampling it.

    Args:
        grid: Heat on the attention grid, `[h w]` (see `refdiff.heat.grid_heat`).
        pooled: The photo's masks pooled to that grid.

    Raises:
        MaskError: Grid and pooled masks differ in size.
        DegenerateMaskError: A mask is empty or covers the whole photo.

    Source: design.md 4.
    """
    if pooled.everything.shape != grid.shape:
        raise MaskError(f"pooled masks: expected a grid of {grid.shape}, got {pooled.everything.shape}")
    inside = pooled.inside.reshape(len(pooled.inside), -1) @ grid.ravel()
    return _contrast(inside, float((pooled.everything * grid).sum()), pooled.area, pooled.pixels)


def clip_scores(views: ClipViews, method: MethodSettings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Similarity of the local and of the global views with their text mixes, float64 `[n]` each."""
    local = views.local @ _mix(views.expression, views.head, method.text_local)
    global_view = views.global_view @ _mix(views.expression, views.head, method.text_global)
    return local.astype(np.float64), global_view.astype(np.float64)


def score_proposals(method: MethodSettings, contrast: NDArray[np.floating] | None, views: ClipViews | None) -> Scores:
    """All scores of one expression's proposals.

    Args:
        method: Weights and mixes.
        contrast: Generative score `[n]`; needed where the method's generative_weight is not 0.
        views: Embeddings; needed where its discriminative_weight is not 0.

    Raises:
        ValueError: A part that the method weighs is missing, or none is given.

    Source: arXiv 2308.16777: s = alpha G + (1 - alpha) D, D = beta global + (1 - beta) local. The released code's
        weights are another row of params.yaml.
    """
    if method.generative_weight > 0.0 and contrast is None:
        raise ValueError("contrast: the method weighs it, got None")
    if method.uses_clip and views is None:
        raise ValueError("views: the method weighs them, got None")
    parts = [len(part) for part in (contrast, None if views is None else views.local) if part is not None]
    if not parts:
        raise ValueError("contrast and views: expected at least one, got neither")
    nothing = np.full(parts[0], np.nan)
    total = np.zeros(parts[0])
    generative, local, global_view, discriminative = nothing, nothing, nothing, nothing
    if contrast is not None:
        generative = contrast.astype(np.float64)
        total = total + method.generative_weight * generative
    if views is not None:
        local, global_view = clip_scores(views, method)
        discriminative = method.beta * global_view + (1.0 - method.beta) * local
        total = total + method.discriminative_weight * discriminative
    return Scores(total, generative, local, global_view, discriminative)


def _mix(expression: NDArray[np.floating], head: NDArray[np.floating], weights: TextMix) -> NDArray[np.floating]:
    return weights.expression * expression + weights.head * head


def _contrast(
    inside: NDArray[np.floating], total: float, area: NDArray[np.integer], pixels: int
) -> NDArray[np.float64]:
    if len(area) and (area.min() <= 0 or area.max() >= pixels):
        index = int(np.flatnonzero((area <= 0) | (area >= pixels))[0])
        raise DegenerateMaskError(
            f"mask {index}: covers {area[index]} of {pixels} pixels; expected some inside and some outside; "
            "filter such masks out"
        )
    return inside / area - (total - inside) / (pixels - area)
