"""Source `threshold`: the paper's weak proposals, masks cut from a heat map."""

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import MaskError
from refdiff.masks.rle import encode_mask
from refdiff.proposals.candidates import Proposals, of_codes
from refdiff.proposals.connected import label_parts
from refdiff.proposals.settings import ThresholdSettings


def cut_heat(heat: NDArray[np.floating], settings: ThresholdSettings) -> Proposals:
    """Masks where the heat is at least each threshold, or their connected parts.

    A mask that a lower threshold gives already is left out; so the mask at a threshold is that of the highest listed
    threshold which is not above it.

    Args:
        heat: `[height width]`, values in [0, 1].
        settings: Thresholds, and whether parts are proposals of their own.

    Returns:
        Proposals by rising threshold (parts in reading order), with their thresholds and without confidence; none for
        a heat of zeros.

    Raises:
        MaskError: The heat is no finite plane of numbers.

    Source: docs/method.md, "Weak proposals": {heat >= mu}.
    Differs: empty and repeated masks are left out.
    """
    if heat.ndim != 2 or not np.isfinite(heat).all():
        raise MaskError(f"heat: expected finite values [height width], got {list(heat.shape)} with others among them")
    found: dict[bytes, float] = {}
    for threshold in settings.thresholds:
        mask = heat >= threshold
        for part in _parts(mask) if settings.parts == "components" else [mask]:
            if np.count_nonzero(part) >= settings.min_part_px:
                found.setdefault(encode_mask(part), threshold)
    return of_codes(list(found), heat.shape[0], heat.shape[1], thresholds=list(found.values()))


def _parts(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Connected parts (edges and corners connect), in reading order of their first pixel."""
    labels = label_parts(mask, corners=True)
    return [labels == number for number in range(1, int(labels.max(initial=0)) + 1)]
