"""Candidate masks in memory, kept as run-length codes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import MaskError
from refdiff.masks.rle import decode_masks, encode_masks, mask_areas


@dataclass(frozen=True, slots=True)
class Proposals:
    """Candidate masks of one photo or expression, kept as run-length codes: 3,000 of them need no memory.

    Attributes:
        height: Pixels.
        width: Pixels.
        counts: COCO run-length codes.
        confidence: float32 `[n]`, higher is better; NaN when the source has none.
        thresholds: float32 `[n]`, the heat that a mask was cut at; NaN when it was not cut from heat.
    """

    height: int
    width: int
    counts: tuple[bytes, ...]
    confidence: NDArray[np.float32]
    thresholds: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = (len(self.counts),)
        if self.confidence.shape != shape or self.thresholds.shape != shape:
            raise MaskError(
                f"proposals: {len(self.counts)} masks; expected as many confidences and thresholds, "
                f"got {list(self.confidence.shape)} and {list(self.thresholds.shape)}"
            )

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def masks(self) -> NDArray[np.bool_]:
        """Bool `[n height width]`, decoded at each call."""
        return decode_masks(self.counts, self.height, self.width)

    @property
    def areas(self) -> NDArray[np.int64]:
        """Pixels of each mask, `[n]`."""
        return mask_areas(self.counts, self.height, self.width)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "Proposals":
        """These rows, in this order."""
        index = np.asarray(rows, dtype=np.int64)
        counts = tuple(self.counts[i] for i in index)
        return Proposals(self.height, self.width, counts, self.confidence[index], self.thresholds[index])


def of_codes(
    counts: Sequence[bytes],
    height: int,
    width: int,
    confidence: Sequence[float] | NDArray[np.floating] | None = None,
    thresholds: Sequence[float] | NDArray[np.floating] | None = None,
) -> Proposals:
    """Proposals of run-length codes; None stands for a column of NaN."""
    columns = [
        np.full(len(counts), np.nan, np.float32) if values is None else np.asarray(values, dtype=np.float32)
        for values in (confidence, thresholds)
    ]
    return Proposals(height, width, tuple(counts), columns[0], columns[1])


def of_masks(
    masks: NDArray[np.bool_],
    confidence: Sequence[float] | NDArray[np.floating] | None = None,
    thresholds: Sequence[float] | NDArray[np.floating] | None = None,
) -> Proposals:
    """Proposals of a stack of masks, bool `[n height width]`.

    Raises:
        MaskError: Not a stack of boolean masks.
    """
    return of_codes(encode_masks(masks), masks.shape[1], masks.shape[2], confidence, thresholds)
