"""Binary masks as COCO run-length codes: bytes in, bytes out, refused when they do not fit.

A mask is `Bool[height width]`; its code is the compressed `counts` of pycocotools (column-major), without the size.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

from refdiff.errors import MaskError

# Four numbers for each of these still count in 8 bits.
_AT_ONCE = 63

# Its published types know only one of the forms that it takes and gives.
coco: Any = pycocotools.mask


def encode_masks(masks: NDArray[np.bool_]) -> list[bytes]:
    """Codes of a stack of masks.

    Args:
        masks: Bool `[n height width]`.

    Raises:
        MaskError: Not a stack of boolean masks.
    """
    if masks.ndim != 3 or masks.dtype != np.bool_:
        raise MaskError(f"masks: expected bool [n height width], got {masks.dtype} {list(masks.shape)}")
    if masks.shape[0] == 0:
        return []
    # Column-major [height width n] as pycocotools wants it, one mask at a time in memory order.
    stack = np.asfortranarray(masks.transpose(1, 2, 0).view(np.uint8))
    return [code["counts"] for code in coco.encode(stack)]


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Code of one mask, bool `[height width]`."""
    return encode_masks(mask[None])[0]


def decode_masks(counts: Sequence[bytes], height: int, width: int) -> NDArray[np.bool_]:
    """Masks `[n height width]` of `counts`.

    Raises:
        MaskError: A code does not decode to `height` x `width`.
    """
    if len(counts) == 0:
        return np.zeros((0, height, width), dtype=np.bool_)
    check_codes(counts, height, width)
    stack = coco.decode([_as_coco(code, height, width) for code in counts])
    return np.ascontiguousarray(stack.transpose(2, 0, 1)).view(np.bool_)


def check_codes(counts: Sequence[bytes], height: int, width: int) -> None:
    """See that codes are those of masks of this size.

    What is compared or measured below must have passed this once: pycocotools looks for the missing end of a code that
    is too short for ever.

    Raises:
        MaskError: A code is not COCO's, or does not cover `height` x `width` pixels.
    """
    for index, code in enumerate(counts):
        covered = runs_length(code)
        if covered != height * width:
            raise MaskError(
                f"mask {index}: run-length code covers {covered} pixels; expected {height} x {width} = {height * width}"
            )


def decode_mask(counts: bytes, height: int, width: int) -> NDArray[np.bool_]:
    """The mask `[height width]` of one code."""
    return decode_masks([counts], height, width)[0]


def mask_areas(counts: Sequence[bytes], height: int, width: int) -> NDArray[np.int64]:
    """Pixels of each mask, `[n]`."""
    if len(counts) == 0:
        return np.zeros(0, dtype=np.int64)
    # pycocotools 2.0.11 puts the number of masks into 8 bits, which NumPy 2 refuses.
    parts = [counts[start : start + _AT_ONCE] for start in range(0, len(counts), _AT_ONCE)]
    areas = [coco.area([_as_coco(code, height, width) for code in part]) for part in parts]
    return np.concatenate(areas).astype(np.int64)


def mask_boxes(counts: Sequence[bytes], height: int, width: int) -> NDArray[np.int64]:
    """Left, top, right and bottom (exclusive) of each mask, `[n 4]`; zeros for an empty mask."""
    if len(counts) == 0:
        return np.zeros((0, 4), dtype=np.int64)
    parts = [counts[start : start + _AT_ONCE] for start in range(0, len(counts), _AT_ONCE)]
    boxes = np.concatenate([coco.toBbox([_as_coco(code, height, width) for code in part]) for part in parts])
    boxes[:, 2:] += boxes[:, :2]
    return boxes.astype(np.int64)


def mask_intersections(first: Sequence[bytes], second: Sequence[bytes], height: int, width: int) -> NDArray[np.int64]:
    """Pixels shared by each mask of `first` and each of `second`, int64 `[len(first) len(second)]`."""
    if len(first) == 0 or len(second) == 0:
        return np.zeros((len(first), len(second)), dtype=np.int64)
    # With `iscrowd` pycocotools divides the shared pixels by the area of the first mask alone. The quotient of two
    # integers below 2^31, times the divisor, rounds back to the integer.
    shares = coco.iou(
        [_as_coco(code, height, width) for code in first],
        [_as_coco(code, height, width) for code in second],
        [1] * len(second),
    )
    areas = mask_areas(first, height, width)
    return np.rint(np.asarray(shares) * areas[:, None]).astype(np.int64)


def mask_runs(counts: bytes) -> NDArray[np.int64]:
    """Lengths of a code's runs in column-major order, zeros first, int64 `[runs]`.

    The code is COCO's: base-48 characters of five bits with a continuation bit; from the third run on, a run is stored
    as its difference to the run two before it.

    Raises:
        MaskError: The text is not such a code.
    """
    digits = np.frombuffer(counts, dtype=np.uint8).astype(np.int64) - 48
    if digits.size == 0 or digits.min() < 0 or digits.max() >= 64 or digits[-1] & 0x20:
        raise MaskError("run-length code: expected COCO's compressed counts, got something else or a part of one")
    last = np.flatnonzero((digits & 0x20) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(digits.size) - np.repeat(first, last - first + 1)
    if place.max() > 7:
        raise MaskError("run-length code: a run is longer than any image; expected COCO's compressed counts")
    runs = np.add.reduceat((digits & 0x1F) << (5 * place), first)
    runs -= np.where(digits[last] & 0x10, np.int64(1) << (5 * (last - first + 1)), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.min() < 0:
        raise MaskError(f"run-length code: a run of {runs.min()} pixels; expected none below 0")
    return runs


def runs_length(counts: bytes) -> int:
    """Pixels that a compressed code covers in all, runs of zeros included.

    pycocotools decodes without checking this sum, and reads past the mask's end when it is too large.

    Raises:
        MaskError: The text is not such a code.
    """
    return int(mask_runs(counts).sum())


def _as_coco(counts: bytes, height: int, width: int) -> dict[str, object]:
    return {"size": [height, width], "counts": counts}
