"""Binary masks as COCO run-length codes: bytes in, bytes out, refused when they do not fit.

A mask is `Bool[height width]`; its code is the compressed `counts` of pycocotools (column-major), without the size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

from refdiff.errors import MaskError

# Four numbers for each of these still count in 8 bits.
_AT_ONCE = 63
# COCO's code: the character of nothing, the bit that says that the run goes on, and what no run of an image needs.
_ZERO = 48
_MORE = 0x20
_MOST_DIGITS = 8

# Its published types know only one of the forms that it takes and gives.
coco: Any = pycocotools.mask


@dataclass(frozen=True, slots=True)
class CodeRuns:
    """Runs of n codes, two by two: pixels outside the mask, then pixels inside, in column-major order.

    Attributes:
        pairs: int64 `[pairs 2]`, lengths, code after code; either may be 0.
        counts: intp `[n]`, pairs of each code, at least 1.
    """

    pairs: NDArray[np.int64]
    counts: NDArray[np.intp]

    @property
    def first(self) -> NDArray[np.intp]:
        """The first pair of each code, `[n]`."""
        return np.cumsum(self.counts) - self.counts


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
    check_coverage(read_runs(counts), height, width)


def check_coverage(runs: CodeRuns, height: int, width: int) -> None:
    """`check_codes` of codes whose runs are read.

    Raises:
        MaskError: A code does not cover `height` x `width` pixels.
    """
    covered = np.add.reduceat(runs.pairs.sum(axis=1), runs.first) if len(runs.counts) else np.zeros(0, np.int64)
    wrong = np.flatnonzero(covered != height * width)
    if len(wrong):
        raise MaskError(
            f"mask {wrong[0]}: run-length code covers {covered[wrong[0]]} pixels; "
            f"expected {height} x {width} = {height * width}"
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


def read_runs(codes: Sequence[bytes]) -> CodeRuns:
    """Runs of many codes in one pass.

    A code is COCO's: base-48 characters of five bits with a continuation bit; from the fourth run on, a run is stored
    as its difference to the run two before it.

    Raises:
        MaskError: One of the texts is not such a code.
    """
    digits = np.frombuffer(b"".join(codes), np.uint8) - np.uint8(_ZERO)  # what is below wraps to large numbers
    sizes = np.fromiter(map(len, codes), np.intp, len(codes))
    ends = np.cumsum(sizes)
    _refuse(sizes == 0, "is empty")
    _refuse_digits(digits >= 64, ends, "holds other characters")
    _refuse((digits[ends - 1] & _MORE) != 0, "is cut off")
    last = np.flatnonzero((digits & _MORE) == 0)
    span = np.diff(last, prepend=-1)
    _refuse_digits(span > _MOST_DIGITS, np.searchsorted(last, ends), "has a run that is longer than any image")
    first, values = last - span + 1, np.zeros(len(last), np.int64)
    for place in range(span.max(initial=0)):
        there = np.flatnonzero(span > place) if place else slice(None)
        values[there] |= (digits[first[there] + place] & 0x1F).astype(np.int64) << (5 * place)
    values -= np.where(digits[last] & 0x10, np.int64(1) << (5 * span), 0)
    counts = np.diff(np.searchsorted(last, ends), prepend=0)
    runs = _undo_differences(values, counts)
    _refuse_digits(runs.pairs.min(axis=1) < 0, np.cumsum(runs.counts), "has a run of fewer than 0 pixels")
    return runs


def _undo_differences(values: NDArray[np.int64], counts: NDArray[np.intp]) -> CodeRuns:
    """Runs of values that are stored as differences to the one two before, from the fourth of a code on."""
    pairs = -(-counts // 2)
    odd = np.cumsum(2 * pairs - counts) - (2 * pairs - counts)  # runs that were put behind the codes before
    flat = np.zeros(2 * int(pairs.sum()), np.int64)
    flat[np.arange(len(values)) + np.repeat(odd, counts)] = values
    lengths = flat.reshape(-1, 2)
    first = np.cumsum(pairs) - pairs
    zeros = lengths[first, 0]
    lengths[first, 0] = 0  # nothing is stored as a difference to the first run
    summed = np.cumsum(lengths, axis=0)
    before = np.where(first[:, None] > 0, summed[first - 1], 0)
    summed -= np.repeat(before, pairs, axis=0)
    summed[first, 0] = zeros
    # The run that was put behind a code of an odd number of them has continued the sum of its column.
    summed[(first + pairs - 1)[counts % 2 == 1], 1] = 0
    return CodeRuns(summed, pairs)


def _refuse_digits(bad: NDArray[np.bool_], ends: NDArray[np.integer], reason: str) -> None:
    """Refuse the first code that something bad lies in; codes end before `ends`."""
    if bad.any():
        index = int(np.searchsorted(ends, np.flatnonzero(bad)[0], side="right"))
        raise MaskError(f"mask {index}: run-length code {reason}; expected COCO's compressed counts")


def _refuse(bad: NDArray[np.bool_], reason: str) -> None:
    _refuse_digits(bad, np.arange(1, len(bad) + 1), reason)


def _as_coco(counts: bytes, height: int, width: int) -> dict[str, object]:
    return {"size": [height, width], "counts": counts}
