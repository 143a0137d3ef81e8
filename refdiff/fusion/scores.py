"""The two scores of a proposal and their sum.

Source: docs/method.md, "Attention contrast" and "Score and choice".
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import DegenerateMaskError, MaskError
from refdiff.finite import check_finite
from refdiff.fusion.settings import MethodSettings, TextMix
from refdiff.masks.runs import MaskRuns, run_sums
from refdiff.pooling.mask_pooling import PooledMasks


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


class Similarities(NamedTuple):
    """Similarity of proposals' views with an expression and with its head word, float64 `[n]` or `[E N]` each."""

    local_expression: NDArray[np.float64]
    local_head: NDArray[np.float64]
    global_expression: NDArray[np.float64]
    global_head: NDArray[np.float64]


class Scores(NamedTuple):
    """Scores of proposals, float64 `[n]` or `[E N]` each; NaN where a part is not in the method."""

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

    Source: docs/method.md, "Attention contrast".
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


def sums_contrast(
    inside: NDArray[np.float64],
    total: float | NDArray[np.float64],
    factor: float | NDArray[np.float64],
    areas: NDArray[np.integer],
    pixels: int | NDArray[np.integer],
) -> NDArray[np.float64]:
    """`attention_contrast` of heat that is summed already (see `refdiff.heat.sums`).

    Args:
        inside: Sums inside masks, `[n]`.
        total: Sum over the photo; one, or one for each mask.
        factor: Heat that a unit of the sums is; likewise.
        areas: Pixels of the masks, `[n]`.
        pixels: Pixels of the photo; likewise.

    Raises:
        DegenerateMaskError: A mask is empty or covers the whole photo.
    """
    return factor * _contrast(inside, total, areas, pixels)


def pooled_contrasts(grids: NDArray[np.floating], pooled: PooledMasks) -> NDArray[np.float64]:
    """`attention_contrast` of upsampled grids, without upsampling them.

    Args:
        grids: Heat on the attention grid, `[heat h w]` (see `refdiff.heat.heat_map.grid_heats`).
        pooled: The photo's n masks pooled to that grid.

    Returns:
        `[heat n]`.

    Raises:
        MaskError: Grids and pooled masks differ in size.
        DegenerateMaskError: A mask is empty or covers the whole photo.

    Source: docs/method.md, "Pooled masks".
    """
    if pooled.everything.shape != grids.shape[1:]:
        raise MaskError(f"pooled masks: expected a grid of {grids.shape[1:]}, got {pooled.everything.shape}")
    flat = grids.reshape(len(grids), -1).astype(np.float64)
    inside = flat @ pooled.inside.reshape(len(pooled.inside), flat.shape[1]).T.astype(np.float64)
    total = (flat * pooled.everything.ravel()).sum(axis=1, keepdims=True)
    return _contrast(inside, total, pooled.area, pooled.pixels)


def compare(views: NDArray[np.floating], texts: NDArray[np.floating]) -> NDArray[np.float64]:
    """Similarity of each text `[t D]` with each view `[n D]`, `[t n]`.

    In float64, so that it does not depend on what else is compared at once.
    """
    return texts.astype(np.float64) @ views.astype(np.float64).T


def measure_views(views: ClipViews) -> Similarities:
    """Similarities of one expression's proposals, `[n]` each."""
    texts = np.stack([views.expression, views.head])
    return Similarities(*compare(views.local, texts), *compare(views.global_view, texts))


def clip_scores(similarities: Similarities, method: MethodSettings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Similarity of the local and of the global views with their text mixes, shaped as the parts."""
    local = _mix(similarities.local_expression, similarities.local_head, method.text_local)
    return local, _mix(similarities.global_expression, similarities.global_head, method.text_global)


def score_proposals(
    method: MethodSettings, contrast: NDArray[np.floating] | None, similarities: Similarities | None
) -> Scores:
    """All scores of proposals, of one expression `[n]` or of many `[E N]`.

    Args:
        method: Weights and mixes.
        contrast: Generative score; needed where the method's generative_weight is not 0.
        similarities: Needed where its discriminative_weight is not 0.

    Raises:
        ValueError: A part that the method weighs is missing, or none is given.

    Source: docs/method.md, "Score and choice": s = alpha G + (1 - alpha) D, D = beta global + (1 - beta) local. The
        released code's weights are another row of params.yaml.
    """
    if method.generative_weight > 0.0 and contrast is None:
        raise ValueError("contrast: the method weighs it, got None")
    if method.uses_clip and similarities is None:
        raise ValueError("similarities: the method weighs them, got None")
    given = contrast if similarities is None else similarities.local_expression
    if given is None:
        raise ValueError("contrast and similarities: expected at least one, got neither")
    nothing = np.full(given.shape, np.nan)
    total = np.zeros(given.shape)
    generative, local, global_view, discriminative = nothing, nothing, nothing, nothing
    if contrast is not None:
        generative = contrast.astype(np.float64, copy=False)
        total = total + method.generative_weight * generative
    if similarities is not None:
        local, global_view = clip_scores(similarities, method)
        discriminative = method.beta * global_view + (1.0 - method.beta) * local
        total = total + method.discriminative_weight * discriminative
    return Scores(total, generative, local, global_view, discriminative)


def check_scores(parts: Iterable[NDArray[np.floating] | None], name: Callable[[int], str]) -> None:
    """See that measured parts of scores are finite, so that every sum of them is, whatever the weights.

    Args:
        parts: `[E ...]` each, for E expressions; None where a part is not measured.
        name: What messages call an expression.

    Raises:
        ShardCorruptError: One is not.
    """
    for part in parts:
        if part is not None:
            check_finite(part, lambda row: f"{name(row)}: a part of its score", "make what it is measured from again")


def _mix(expression: NDArray[np.float64], head: NDArray[np.float64], weights: TextMix) -> NDArray[np.float64]:
    """A view's similarity with a mix of texts is the mix of its similarities."""
    return weights.expression * expression + weights.head * head


def _contrast(
    inside: NDArray[np.floating],
    total: float | NDArray[np.floating],
    area: NDArray[np.integer],
    pixels: int | NDArray[np.integer],
) -> NDArray[np.float64]:
    if len(area) and (area.min() <= 0 or (area >= pixels).any()):
        index = int(np.flatnonzero((area <= 0) | (area >= pixels))[0])
        whole = np.broadcast_to(pixels, area.shape)[index]
        raise DegenerateMaskError(
            f"mask {index}: covers {area[index]} of {whole} pixels; expected some inside and some outside; "
            "filter such masks out"
        )
    return inside / area - (total - inside) / (pixels - area)
