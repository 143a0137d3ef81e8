"""Parts of the score of every candidate of every expression: measured once, weighed as often as one likes.

Weights, text mixes and selection rules come later (`scores`, `choice`), so a sweep over them reads nothing again.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff.fusion.candidates import table_candidates
from refdiff.fusion.clip_parts import measure_similarities
from refdiff.fusion.heat_parts import measure_contrast
from refdiff.fusion.inputs import FusionInputs
from refdiff.fusion.scores import Similarities, check_scores
from refdiff.fusion.settings import MethodSettings
from refdiff.heat.readout import ReadoutSettings
from refdiff.progress import Progress

NOT_THERE = -1


@dataclass(frozen=True, slots=True)
class CandidateParts:
    """E expressions with at most N candidates each, in the order of the proposals table.

    Attributes:
        valid: Bool `[E N]`; places behind an expression's last candidate are not valid, and hold anything.
        proposal: int32 `[E N]`, rows of the proposals table; -1 where not valid.
        area: int64 `[E N]`, pixels of the masks.
        pixels: int64 `[E]`, pixels of the photos.
        threshold: float32 `[E N]`, heat that the masks were cut at; NaN where they were not cut from heat.
        generative: float64 `[E N]`, contrast of the heat; None where the method uses none.
        similarities: Of views and texts, float64 `[E N]` each; None where the method uses none.
        otsu: float64 `[E]`, Otsu's threshold of the heat; None where the rule is another.
    """

    valid: NDArray[np.bool_]
    proposal: NDArray[np.int32]
    area: NDArray[np.int64]
    pixels: NDArray[np.int64]
    threshold: NDArray[np.float32]
    generative: NDArray[np.float64] | None
    similarities: Similarities | None
    otsu: NDArray[np.float64] | None


def measure_parts(
    inputs: FusionInputs,
    method: MethodSettings,
    readout: ReadoutSettings | None,
    progress: Progress,
) -> CandidateParts:
    """Measure what a method weighs, for a whole split.

    Args:
        inputs: The split's tables and stores.
        method: Its filters, ramps and head rule count; a part whose weight is 0 is not measured.
        readout: Its readout; None where it uses no heat.
        progress: Called with photos and their number, once for the heat and once for CLIP.

    Raises:
        ParameterError: The readout does not fit what is stored.
        StoreMismatchError: The tables and stores do not belong to each other.
        ShardCorruptError: A shard is damaged, or a part is not finite.
    """
    proposal = find_rows(inputs, method)
    valid = proposal >= 0
    images, image_of = inputs.dataset.images, inputs.dataset.expressions.image_index
    pixels = (images.height.astype(np.int64) * images.width)[image_of]
    generative, otsu, similarities = None, None, None
    if method.uses_heat and readout is not None:
        with_otsu = method.select.rule == "otsu"
        generative, otsu = measure_contrast(inputs, proposal, readout, otsu=with_otsu, progress=progress)
    if method.uses_clip:
        similarities = measure_similarities(inputs, proposal, method, progress)
    check_scores((generative, *(similarities or ()), otsu), inputs.dataset.name_of)
    return CandidateParts(
        valid=valid,
        proposal=proposal,
        area=_gather(inputs.proposals.area, proposal, 0),
        pixels=pixels,
        threshold=_gather(inputs.proposals.threshold, proposal, np.nan),
        generative=generative,
        similarities=similarities,
        otsu=otsu,
    )


def find_rows(inputs: FusionInputs, method: MethodSettings) -> NDArray[np.int32]:
    """Rows of the proposals table that each expression chooses from, after the method's filters, `[E N]`; -1 beyond."""
    proposals, image_of = inputs.proposals, inputs.dataset.expressions.image_index
    rows = np.flatnonzero(table_candidates(proposals, inputs.dataset, method))
    if proposals.per_expression:
        owner, owner_of = proposals.expression_index[rows], np.arange(len(image_of))
    else:
        owner, owner_of = proposals.image_index[rows], image_of
    first = np.searchsorted(owner, owner_of)
    counts = np.searchsorted(owner, owner_of, side="right") - first
    place = np.arange(counts.max(initial=0))
    valid = place < counts[:, None]
    found = np.full(valid.shape, NOT_THERE, np.int32)
    found[valid] = rows[(first[:, None] + place)[valid]]
    return found


def _gather(column: NDArray[Any], rows: NDArray[np.int32], otherwise: float) -> NDArray[Any]:
    """Values of rows of a column; `otherwise` where there is none."""
    values = np.full(rows.shape, otherwise, column.dtype)
    values[rows >= 0] = column[rows[rows >= 0]]
    return values
