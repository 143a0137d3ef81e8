"""Annotated masks as pixels: polygons, run-length codes compressed or plain, and mask images.

pycocotools draws polygons and decodes codes as the published benchmarks do, but trusts what it gets: coordinates and
counts are checked here first.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from refdiff.dataset.fields import show
from refdiff.dataset.settings import OverlapRule
from refdiff.errors import MaskError
from refdiff.masks.rle import decode_mask
from refdiff.photo import MAX_PIXELS, load_image, read_bytes

# pycocotools walks polygon edges in steps of a fifth of a pixel; this many steps are some 100 MB.
_MAX_EDGE_PX = 1_000_000


def declared_size(segmentation: object) -> tuple[int, int] | None:
    """The (height, width) that a run-length code says, its first when it is a list; None for other forms."""
    first = segmentation[0] if isinstance(segmentation, list) and segmentation else segmentation
    size = first.get("size") if isinstance(first, Mapping) else None
    if isinstance(size, list | tuple) and len(size) == 2 and all(type(side) is int for side in size):
        return int(size[0]), int(size[1])
    return None


def draw_segmentation(segmentation: object, height: int, width: int, rule: OverlapRule) -> NDArray[np.bool_]:
    """The mask `[height width]` of polygons or run-length codes.

    Args:
        segmentation: A list of polygons `[x, y, x, y, ...]`, a run-length code `{size, counts}` whose counts are a
            list or compressed text, or a list of such codes (RefCLEF).
        height: Rows of the frame it was annotated in.
        width: Its columns.
        rule: What pixels covered by several parts are.

    Raises:
        MaskError: It is none of these, does not fit the frame, or has no parts.
    """
    if isinstance(segmentation, Mapping):
        return _draw_code(segmentation, height, width)
    if not isinstance(segmentation, list | tuple):
        raise MaskError(f"segmentation is {show(segmentation)}; expected polygons or a run-length code")
    if len(segmentation) == 0:
        raise MaskError("segmentation is empty; expected one polygon or run-length code at least")
    draw = _draw_code if all(isinstance(part, Mapping) for part in segmentation) else _draw_polygon
    if len(segmentation) == 1:
        return draw(segmentation[0], height, width)
    covered = np.zeros((height, width), dtype=np.int32)
    for part in segmentation:
        covered += draw(part, height, width)
    return {"union": covered > 0, "once": covered == 1, "even_odd": covered % 2 == 1}[rule]


def read_mask_image(path: Path) -> NDArray[np.bool_]:
    """A mask from a PNG: pixels that are not 0 (for a palette: not entry 0) belong to it.

    Raises:
        ImageError: The file is missing or no PNG.
        MaskError: It has several channels.
    """
    image = load_image(read_bytes(path, str(path)), str(path), MAX_PIXELS, ("PNG",))
    if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
        raise MaskError(f"{path}: mask image has mode {image.mode}; expected one channel; save it as grey or palette")
    return np.asarray(image) != 0


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


def _check_polygon(part: object, height: int, width: int) -> list[float]:
    if not isinstance(part, list | tuple):
        raise MaskError(f"polygon is {show(part)}; expected a list of polygons, each [x, y, x, y, ...]")
    # pycocotools takes four numbers for a box.
    if len(part) < 6 or len(part) % 2:
        raise MaskError(f"polygon has {len(part)} numbers; expected x and y of three corners at least")
    if not all(type(number) in (int, float) and abs(number) < 1e9 for number in part):
        raise MaskError("polygon holds something other than finite numbers; expected [x, y, x, y, ...]")
    corners = np.asarray(part, dtype=np.float64).reshape(-1, 2)
    frame = np.array([width, height])
    if (corners < -frame).any() or (corners > 2 * frame).any():
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        raise MaskError(
            f"polygon reaches from ({left:g}, {top:g}) to ({right:g}, {bottom:g}), far outside the photo; expected "
            f"x from 0 to {width} and y from 0 to {height}"
        )
    steps = np.abs(np.diff(corners, axis=0, append=corners[:1])).max(axis=1).sum()
    if steps > _MAX_EDGE_PX:
        raise MaskError(f"polygon has edges of {steps:.0f} px in all; expected at most {_MAX_EDGE_PX}")
    return list(part)


def _draw_polygon(part: object, height: int, width: int) -> NDArray[np.bool_]:
    polygons: Any = [_check_polygon(part, height, width)]  # pycocotools' types name no list of polygons
    code = coco.frPyObjects(polygons, height, width)[0]
    return decode_mask(code["counts"], height, width)
