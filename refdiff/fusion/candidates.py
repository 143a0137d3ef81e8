"""Which proposals are candidates of a method: the same for choosing and for chance and oracle.

Filtered proposals are out; they do not score zero. Of equally large proposals the first is the larger.
"""

import numpy as np
from numpy.typing import NDArray

from refdiff.dataset.tables import Dataset
from refdiff.errors import StoreMismatchError
from refdiff.fusion.settings import MethodSettings
from refdiff.proposals.tables import ProposalTable


def find_candidates(
    areas: NDArray[np.integer],
    pixels: NDArray[np.integer] | int,
    keep_largest: int | None,
    min_area_px: int,
    groups: NDArray[np.integer] | None = None,
) -> NDArray[np.bool_]:
    """Which proposals take part, bool `[n]`.

    The largest are taken first, then those of `min_area_px` pixels or fewer are dropped, and with them what is empty
    or covers the whole photo, for which inside and outside do not both exist.

    Args:
        areas: Pixels of each proposal, `[n]`.
        pixels: Pixels of the photo, or of each proposal's photo, `[n]`.
        keep_largest: Only so many of the largest of each group; None takes all.
        min_area_px: Candidates have more pixels than this.
        groups: Photo (or expression) that each proposal belongs to, `[n]`; None when all belong to one.

    Source: docs/method.md, "Score and choice": released code, filter of the proposals.
    Differs: what is filtered is out instead of scoring 0; masks of the whole photo are dropped.
    """
    kept = (areas > min_area_px) & (areas > 0) & (areas < pixels)
    if keep_largest is None or len(areas) == 0:
        return kept
    group = np.zeros(len(areas), dtype=np.int64) if groups is None else groups
    order = np.lexsort((-areas.astype(np.int64), group))
    starts = np.flatnonzero(np.diff(group[order], prepend=group[order[0]] - 1))
    place = np.arange(len(areas)) - np.repeat(starts, np.diff(starts, append=len(areas)))
    kept[order[place >= keep_largest]] = False
    return kept


def table_candidates(proposals: ProposalTable, dataset: Dataset, method: MethodSettings) -> NDArray[np.bool_]:
    """Which rows of the proposals table take part in the method's choice, bool `[n]` (see `find_candidates`).

    Raises:
        StoreMismatchError: The proposals are of other photos than the dataset's.
    """
    if proposals.image_index.max(initial=-1) >= len(dataset.images.image_id):
        raise StoreMismatchError("proposals: made of other photos than the dataset has; run `dvc repro`")
    pixels = dataset.images.height.astype(np.int64) * dataset.images.width
    return find_candidates(
        proposals.area,
        pixels[proposals.image_index],
        method.keep_largest,
        method.min_area_px,
        proposals.expression_index if proposals.per_expression else proposals.image_index,
    )
