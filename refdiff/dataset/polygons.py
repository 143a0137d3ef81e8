"""Polygons as pixels, drawn by pycocotools as the published benchmarks do; what it trusts is checked here first.

pycocotools cuts off what lies outside the photo, takes four numbers for a box, and drops the last of an odd count.

Source: henghuiding/ReLA, gres_model/data/datasets/refcoco.py and grefcoco.py: parts of fewer than three corners or of
    an odd count of numbers are left out, and the other parts of the annotation count.
Differs: an annotation without any other part is a fault.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from refdiff.dataset.fields import show
from refdiff.errors import MaskError
from refdiff.masks.rle import decode_mask

# What a part of an annotation may be that the mask goes without, or that does not lie where it should.
PartKind = Literal["broken_part", "empty_part", "beyond_photo"]

# Annotators' corners lie on the photo's edge, or by rounding a little beyond it.
_TOLERANCE_PX = 2.0
# Shares of the photo reach from 0 to 1, with some rounding.
_SHARES = -0.05, 1.05
# pycocotools walks polygon edges in steps of a fifth of a pixel; this many steps are some 100 MB.
_MAX_EDGE_PX = 1_000_000


def draw_polygons(
    parts: Sequence[object], height: int, width: int, remark: Callable[[PartKind, str], None]
) -> list[NDArray[np.bool_]]:
    """The mask `[height width]` of each polygon that has three corners or more.

    Args:
        parts: Polygons `[x, y, x, y, ...]` in pixels, one at least.
        height: Rows of the frame they were drawn in.
        width: Its columns.
        remark: Is told of parts that are left out, that have no pixels beside others that may, and that reach beyond
            the frame.

    Raises:
        MaskError: A part is no polygon, lies far outside, or none has three corners; or the numbers are no pixels.
    """
    _refuse_other_units(parts, height, width)
    broken = [_find_break(part) for part in parts]
    if all(broken):
        raise MaskError(broken[0])
    masks: list[NDArray[np.bool_]] = []
    for number, (part, reason) in enumerate(zip(parts, broken, strict=True), start=1):
        where = f"part {number} of {len(parts)}"
        if reason:
            remark("broken_part", f"{where}: {reason}; it is left out")
            continue
        corners = _check_corners(part, height, width)
        if _beyond(corners, height, width) > _TOLERANCE_PX:
            remark(
                "beyond_photo",
                f"{_describe_reach(corners)}, beyond the photo of {width} x {height} (width x height), whose edge cuts "
                "it off",
            )
        polygons: Any = [part]  # pycocotools' types name no list of polygons
        code = coco.frPyObjects(polygons, height, width)[0]
        masks.append(decode_mask(code["counts"], height, width))
        if len(parts) > 1 and not masks[-1].any():
            remark("empty_part", f"{where}: has no pixels")
    return masks


def fits(parts: Sequence[object], height: int, width: int) -> bool:
    """Whether these are polygons, and all corners of those that would be drawn lie in the frame, or nearly so."""
    try:
        corners = [_read_corners(part) for part in parts if not _find_break(part)]
    except MaskError:
        return False
    return all(_beyond(one, height, width) <= _TOLERANCE_PX for one in corners)


def _refuse_other_units(parts: Sequence[object], height: int, width: int) -> None:
    """Refuse shares of the photo and matrices of pixels, which are lists of lists of numbers too."""
    rows = [part for part in parts if isinstance(part, list | tuple)]
    numbers = [item for row in rows for item in row]
    if not numbers or len(rows) < len(parts) or not all(isinstance(item, bool | int | float) for item in numbers):
        return
    if len(rows) == height > 1 and len(set(numbers)) <= 2 and all(len(row) == width for row in rows):
        raise MaskError(
            f"segmentation is a matrix of {height} x {width} pixels; expected polygons or a run-length code; encode it "
            "with pycocotools.mask.encode, or save it as a PNG where a path can stand"
        )
    if (height, width) != (1, 1) and _SHARES[0] <= min(numbers) and max(numbers) <= _SHARES[1]:
        raise MaskError(
            "segmentation has no number beyond 1: shares of the photo, or a matrix of 0 and 1; expected polygons in "
            f"pixels, x to {width} and y to {height}, or a run-length code; multiply shares by width and height"
        )


def _find_break(part: object) -> str:
    """Why a part is no polygon that can be drawn, though it is a list; empty when it is one.

    Raises:
        MaskError: It is no list.
    """
    if not isinstance(part, list | tuple):
        raise MaskError(
            f"polygon is {show(part)}; expected a list of polygons, each [x, y, x, y, ...], not a polygon or box alone"
        )
    if all(isinstance(item, list | tuple) for item in part) and part:
        raise MaskError("polygon holds pairs, something other than finite numbers; expected [x, y, x, y, ...] flat")
    if len(part) % 2:
        return f"polygon has {len(part)} numbers, an odd count; expected an x and a y of each corner"
    if len(part) < 6:
        return f"polygon has {len(part)} numbers; expected x and y of three corners at least"
    return ""


def _read_corners(part: Any) -> NDArray[np.float64]:
    """The corners `[n 2]` of a part that is not broken."""
    if not all(type(number) in (int, float) and abs(number) < 1e9 for number in part):
        raise MaskError("polygon holds something other than finite numbers; expected [x, y, x, y, ...]")
    return np.asarray(part, dtype=np.float64).reshape(-1, 2)


def _check_corners(part: object, height: int, width: int) -> NDArray[np.float64]:
    """The corners `[n 2]` of a part that is not broken, none of them far outside."""
    corners = _read_corners(part)
    frame = np.array([width, height])
    if (corners < -frame).any() or (corners > 2 * frame).any():
        raise MaskError(
            f"{_describe_reach(corners)}, far outside the photo; expected x from 0 to {width} and y from 0 to {height}"
        )
    steps = np.abs(np.diff(corners, axis=0, append=corners[:1])).max(axis=1).sum()
    if steps > _MAX_EDGE_PX:
        raise MaskError(f"polygon has edges of {steps:.0f} px in all; expected at most {_MAX_EDGE_PX}")
    return corners


def _beyond(corners: NDArray[np.float64], height: int, width: int) -> float:
    """How far, in pixels, the outermost corner lies outside the frame; negative when all lie inside."""
    return float(np.maximum(-corners, corners - np.array([width, height])).max())


def _describe_reach(corners: NDArray[np.float64]) -> str:
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return f"polygon reaches from ({left:g}, {top:g}) to ({right:g}, {bottom:g})"
