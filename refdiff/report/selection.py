"""Which expressions the gallery shows: the best, the worst, and some at random."""

import numpy as np
from numpy.typing import NDArray

from refdiff.report.content import CaseKind
from refdiff.report.settings import GallerySettings


def pick_cases(
    iou: NDArray[np.floating], image_index: NDArray[np.integer], gallery: GallerySettings, seed: int
) -> list[tuple[CaseKind, int]]:
    """Expressions to show, by kind; none twice, and within a kind each of another photo as far as there are enough.

    Args:
        iou: Of the method that ranks, `[E]`; NaN where no truth is given, which takes part at random only.
        image_index: Photo of each expression, `[E]`.
        gallery: How many of each kind.
        seed: Orders equal IoUs, and draws the random ones.
    """
    shuffled = np.random.default_rng(seed).permutation(len(iou))
    known = shuffled[~np.isnan(iou[shuffled])]
    rising = known[np.argsort(iou[known], kind="stable")]
    falling = known[np.argsort(-iou[known], kind="stable")]
    orders: dict[CaseKind, tuple[NDArray[np.integer], int]] = {
        "best": (falling, gallery.best),
        "worst": (rising, gallery.worst),
        "random": (shuffled, gallery.random),
    }
    picked: list[tuple[CaseKind, int]] = []
    taken: set[int] = set()
    for kind, (order, wanted) in orders.items():
        left = [int(row) for row in order if int(row) not in taken]
        for row in _of_many_photos(left, image_index, wanted):
            taken.add(row)
            picked.append((kind, row))
    return picked


def _of_many_photos(order: list[int], image_index: NDArray[np.integer], wanted: int) -> list[int]:
    """The first `wanted` rows with photos of their own, filled up with the first others."""
    first_of: dict[int, int] = {}
    for row in order:
        first_of.setdefault(int(image_index[row]), row)
    rows = list(first_of.values())[:wanted]
    chosen = set(rows)
    rest = (row for row in order if row not in chosen)
    return rows + [row for row, _ in zip(rest, range(wanted - len(rows)), strict=False)]
