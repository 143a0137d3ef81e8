"""Which of an expression's candidates is chosen. Ties go to the lowest index."""

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import ParameterError
from refdiff.fusion.scores import Scores
from refdiff.fusion.settings import MethodSettings

NO_CHOICE = -1
OTSU_BINS = 256


def choose(scores: NDArray[np.floating], kept: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Index of the best score among the candidates, the lowest where several are equal; -1 without a candidate.

    Args:
        scores: `[... n]`, finite for candidates.
        kept: Candidates, bool `[... n]`.

    Returns:
        `[...]`, an index along the last axis.
    """
    if kept.shape[-1] == 0:
        return np.full(kept.shape[:-1], NO_CHOICE)
    best = np.where(kept, scores, -np.inf).argmax(axis=-1)
    return np.where(kept.any(axis=-1), best, NO_CHOICE)


def weigh_area(
    contrast: NDArray[np.floating],
    areas: NDArray[np.integer],
    pixels: int | NDArray[np.integer],
    power: float,
) -> NDArray[np.float64]:
    """Contrast times (a (1 - a)) ** power, with a the share of the photo that a mask covers; shaped as the contrast.

    At power 0.5 this is the square root of Otsu's between-class variance a (1 - a) (m1 - m0)^2 of the heat, so that its
    argmax over thresholds is Otsu's threshold.
    """
    share = areas / pixels
    return np.asarray(contrast * (share * (1.0 - share)) ** power, dtype=np.float64)


def restrict_thresholds(
    kept: NDArray[np.bool_], thresholds: NDArray[np.floating], wanted: float | NDArray[np.floating]
) -> NDArray[np.bool_]:
    """The candidates whose threshold is the highest that is not above `wanted`; the lowest where all are above.

    The masks of rising thresholds are nested, and a mask that a lower threshold gives already is left out of the
    proposals (`proposals.threshold.cut_heat`), so the mask at `wanted` is the one of the highest threshold below it.
    Where that was filtered (it covers the whole photo), the lowest threshold is nearest to it. Of masks that are
    connected parts, those that are the same from a lower threshold on belong to that threshold.

    Args:
        kept: Candidates, bool `[... n]`.
        thresholds: `[... n]`, in the precision of the proposals table.
        wanted: One threshold, or one for each row, `[...]`.

    Raises:
        ParameterError: The proposals were not cut at thresholds.
    """
    if not kept.any():
        return kept
    if np.isnan(thresholds[kept]).any():
        raise ParameterError(
            "select.rule: fixed and otsu need proposals that were cut from a heat map at thresholds; "
            "use argmax or area, or a heat source of kind threshold"
        )
    # In the table's precision: 0.4 must find the mask that was cut at 0.4.
    level = np.asarray(wanted, dtype=thresholds.dtype)[..., None]
    below = kept & (thresholds <= level)
    highest = np.where(below, thresholds, -np.inf).max(axis=-1, keepdims=True)
    lowest = np.where(kept, thresholds, np.inf).min(axis=-1, keepdims=True)
    return kept & (thresholds == np.where(below.any(axis=-1, keepdims=True), highest, lowest))


def otsu_threshold(heat: NDArray[np.floating]) -> float:
    """Otsu's threshold of a heat map with values in [0, 1]: the edge, of 256 equal bins, that separates best.

    The middle of the empty bins where there are some, and 0.5 for a constant map.

    Source: N. Otsu, A threshold selection method from gray-level histograms, 1979.
    """
    counts, edges = np.histogram(heat, bins=OTSU_BINS, range=(0.0, 1.0))
    weights = counts / counts.sum()
    centres = (edges[:-1] + edges[1:]) / 2
    low = np.cumsum(weights)[:-1]
    low_sum = np.cumsum(weights * centres)[:-1]
    mean = float((weights * centres).sum())
    spread = low * (1.0 - low)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.where(spread > 1e-12, (mean * low - low_sum) ** 2 / spread, 0.0)
    best = int(between.argmax())
    if between[best] <= 0.0:
        return 0.5
    # Edges with nothing between them separate the same pixels.
    return float(edges[1:-1][low == low[best]].mean())


def decide(
    method: MethodSettings,
    scores: Scores,
    valid: NDArray[np.bool_],
    areas: NDArray[np.integer],
    pixels: int | NDArray[np.integer],
    *,
    thresholds: NDArray[np.floating],
    otsu: float | NDArray[np.floating] | None,
) -> NDArray[np.intp]:
    """Index of the chosen one among the candidates of each expression, by the method's selection rule; -1 without any.

    Args:
        method: The rule and the weights.
        scores: Of the candidates, `[... n]`.
        valid: Which places hold a candidate, bool `[... n]`.
        areas: Their pixels, `[... n]`.
        pixels: Pixels of the photo, a number or `[... 1]`.
        thresholds: Heat threshold that each was cut at, `[... n]`; NaN where there is none.
        otsu: Otsu's threshold of the heat (see `otsu_threshold`), a number or `[...]`; needed by rule `otsu`.

    Returns:
        `[...]`.

    Raises:
        ParameterError: The rule needs thresholds that the candidates do not have.
        ValueError: The rule needs Otsu's threshold and it is not given.
    """
    select = method.select
    kept, ranking = valid, scores.total
    if select.rule == "fixed" and select.threshold is not None:
        kept = restrict_thresholds(kept, thresholds, select.threshold)
    elif select.rule == "otsu":
        if otsu is None:
            raise ValueError("otsu: rule otsu needs it, got None")
        kept = restrict_thresholds(kept, thresholds, otsu)
    elif select.rule == "area" and select.area_power is not None:
        weighed = weigh_area(scores.generative, areas, pixels, select.area_power)
        ranking = ranking + method.generative_weight * (weighed - scores.generative)
    return choose(ranking, kept)
