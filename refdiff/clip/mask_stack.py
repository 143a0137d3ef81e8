"""Candidate masks by slices: a few at a time, so that thousands of them never lie decoded side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import MaskError
from refdiff.masks.rle import decode_masks

SLICE_PIXELS = 1 << 23  # 8 MB of booleans


class MaskStack(Protocol):
    """Masks of one photo: an array bool `[n height width]`, or anything that gives such slices."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.bool_]: ...


@dataclass(frozen=True, slots=True)
class CodedMasks:
    """Masks as COCO run-length codes, decoded slice by slice.

    Attributes:
        counts: One code per mask.
        height: Photo height.
        width: Photo width.
    """

    counts: Sequence[bytes]
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.counts), self.height, self.width)

    def __getitem__(self, part: slice, /) -> NDArray[np.bool_]:
        return decode_masks(self.counts[part], self.height, self.width)


def iterate_masks(masks: MaskStack, height: int, width: int) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Each mask with its index.

    Args:
        masks: The masks.
        height: Height of the photo that they belong to.
        width: Its width.

    Yields:
        Index and mask, bool `[height width]`.

    Raises:
        MaskError: The masks are not boolean masks of that size, or one is empty.
    """
    if len(masks.shape) != 3 or masks.shape[1:] != (height, width):
        raise MaskError(f"masks: expected bool [n {height} {width}] as the photo has, got {list(masks.shape)}")
    step = max(1, SLICE_PIXELS // max(1, height * width))
    for start in range(0, masks.shape[0], step):
        part = masks[start : start + step]
        if part.dtype != np.bool_:
            raise MaskError(f"masks: expected bool, got {part.dtype}")
        for index, mask in enumerate(part, start):
            if not mask.any():
                raise MaskError(f"mask {index}: is empty; expected at least one pixel; leave it out of the proposals")
            yield index, mask
