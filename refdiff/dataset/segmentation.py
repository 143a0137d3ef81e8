"""Annotated masks as pixels: polygons, and run-length codes compressed or plain.

pycocotools decodes codes as the published benchmarks do, but trusts what it gets: counts are checked here first.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff.dataset.fields import show
from refdiff.dataset.polygons import PartKind, draw_polygons
from refdiff.dataset.settings import OverlapRule
from refdiff.errors import MaskError
from refdiff.masks.rle import decode_mask


def refuse_part(kind: PartKind, message: str) -> None:
    """Refuse what is worth a remark, where nobody would see one; a part without pixels changes nothing.

    Raises:
        MaskError: The part is not just empty.
    """
    if kind != "empty_part":
        raise MaskError(message)


def declared_size(segmentation: object) -> tuple[int, int] | None:
    """The (height, width) that a run-length code says, its first when it is a list; None for other forms."""
    first = segmentation[0] if isinstance(segmentation, list) and segmentation else segmentation
    size = first.get("size") if isinstance(first, Mapping) else None
    if isinstance(size, list | tuple) and len(size) == 2 and all(type(side) is int for side in size):
        return int(size[0]), int(size[1])
    return None


def draw_segmentation(
    segmentation: object,
    height: int,
    width: int,
    rule: OverlapRule,
    remark: Callable[[PartKind, str], None] = refuse_part,
) -> NDArray[np.bool_]:
    """The mask `[height width]` of polygons or run-length codes.

    Args:
        segmentation: A list of polygons `[x, y, x, y, ...]`, a run-length code `{size, counts}` whose counts are a
            list or compressed text, or a list of such codes (RefCLEF).
        height: Rows of the frame it was annotated in.
        width: Its columns.
        rule: What pixels covered by several parts are.
        remark: Is told of parts of polygons that are left out, are empty, or reach beyond the frame.

    Raises:
        MaskError: It is none of these, does not fit the frame, or has no parts.
    """
    if isinstance(segmentation, Mapping):
        return _draw_code(segmentation, height, width)
    if not isinstance(segmentation, list | tuple):
        raise MaskError(f"segmentation is {show(segmentation)}; expected polygons or a run-length code")
    if len(segmentation) == 0:
        raise MaskError("segmentation is empty; expected one polygon or run-length code at least")
    if all(isinstance(part, Mapping) for part in segmentation):
        masks = [_draw_code(part, height, width) for part in segmentation]
    else:
        masks = draw_polygons(segmentation, height, width, remark)
    if len(masks) == 1:
        return masks[0]
    covered = np.sum(masks, axis=0, dtype=np.int32)
    return {"union": covered > 0, "once": covered == 1, "even_odd": covered % 2 == 1}[rule]


def _draw_code(code: Mapping[Any, Any], height: int, width: int) -> NDArray[np.bool_]:
    counts = code.get("counts")
    size = declared_size(code)
    if size != (height, width):
        raise MaskError(f"run-length code has size {show(code.get('size'))}; expected [{height}, {width}]")
    if isinstance(counts, str | bytes):
        try:
            text = counts.encode("ascii") if isinstance(counts, str) else counts
        except UnicodeEncodeError as error:
            raise MaskError("run-length code has letters beyond ASCII; expected COCO's compressed counts") from error
        return decode_mask(text, height, width)
    if not isinstance(counts, list | tuple):
        raise MaskError(f"run-length code has counts {show(counts)}; expected a list or COCO's compressed text")
    if not all(type(run) is int and 0 <= run <= height * width for run in counts):
        raise MaskError(f"run-length code has counts that are no runs; expected numbers from 0 to {height * width}")
    if sum(counts) != height * width:
        raise MaskError(f"run-length code covers {sum(counts)} pixels; expected {height} x {width} = {height * width}")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, np.asarray(counts, dtype=np.int64))
    return np.ascontiguousarray(flat.reshape(width, height).T)
