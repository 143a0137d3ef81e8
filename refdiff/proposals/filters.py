"""Filters over proposals: smallest area, duplicates, largest n. A filtered proposal is out, not zero."""

import numpy as np
from numpy.typing import NDArray

from refdiff.masks.rle import mask_boxes, mask_intersections
from refdiff.proposals.candidates import Proposals
from refdiff.proposals.settings import FilterSettings


def filter_proposals(proposals: Proposals, settings: FilterSettings) -> Proposals:
    """The proposals that pass, in their order: smallest area, then duplicates, then the largest n."""
    kept = np.flatnonzero(proposals.areas >= settings.min_area_px)
    proposals = proposals.take(kept)
    if settings.duplicate_iou is not None:
        proposals = proposals.take(distinct(proposals, settings.duplicate_iou))
    if settings.max_proposals is not None:
        proposals = proposals.take(largest(proposals.areas, settings.max_proposals))
    return proposals


def largest(areas: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Rows of the `n` largest areas, rising; of equal areas the first are kept.

    Source: docs/method.md, "Score and choice": released code, the largest masks of a photo.
    """
    return np.sort(np.argsort(-areas, kind="stable")[:n])


def distinct(proposals: Proposals, iou: float) -> NDArray[np.int64]:
    """Rows that remain when, of two masks with at least this IoU, the one with less confidence goes; rising.

    Of equal or missing confidence the first stays. A mask that is out removes no other.

    Args:
        proposals: None of them empty.
        iou: In (0, 1].
    """
    areas = proposals.areas
    boxes = mask_boxes(proposals.counts, proposals.height, proposals.width)
    confidence = np.where(np.isnan(proposals.confidence), -np.inf, proposals.confidence)
    kept = np.zeros(0, dtype=np.int64)
    for row in np.argsort(-confidence, kind="stable"):
        # Boxes and areas bound the IoU from above; only the pairs that they leave open are measured.
        bound = np.minimum(_box_overlap(boxes[row], boxes[kept]), np.minimum(areas[row], areas[kept]))
        open_pairs = kept[bound >= iou * np.maximum(areas[row], areas[kept])]
        if not _is_like_one(proposals, int(row), open_pairs, areas, iou):
            kept = np.append(kept, row)
    return np.sort(kept)


def _is_like_one(
    proposals: Proposals, row: int, others: NDArray[np.int64], areas: NDArray[np.int64], iou: float
) -> bool:
    if len(others) == 0:
        return False
    codes = [proposals.counts[i] for i in others]
    shared = mask_intersections([proposals.counts[row]], codes, proposals.height, proposals.width)[0]
    return bool(np.any(shared >= iou * (areas[row] + areas[others] - shared)))


def _box_overlap(box: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels shared by a box `[4]` and each of the others `[n 4]`."""
    across = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    down = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    return np.maximum(across, 0) * np.maximum(down, 0)
