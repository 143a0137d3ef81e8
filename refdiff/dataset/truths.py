"""True masks of refs, drawn in the photo's frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refdiff.dataset.faults import FaultLog
from refdiff.dataset.fields import show
from refdiff.dataset.frames import check_polygon_frame, is_frame_unknown, is_stored_frame
from refdiff.dataset.mask_image import read_mask_image
from refdiff.dataset.photos import PhotoCheck
from refdiff.dataset.polygons import PartKind
from refdiff.dataset.records import MaskRecord, PhotoRecord, RefRecord
from refdiff.dataset.segmentation import declared_size, draw_segmentation
from refdiff.dataset.settings import FrameRule, PrepareDatasetSettings
from refdiff.errors import ImageError, MaskError
from refdiff.masks.rle import encode_mask
from refdiff.photo import PhotoFrame, orient

# Boxes of the same object are nearly equal; those of other units or axes hardly meet.
_LEAST_BOX_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Truth:
    """The true mask of a ref, drawn; `counts` is None when no truth is given."""

    ref: RefRecord
    counts: bytes | None
    area: int


def draw_truth(
    ref: RefRecord,
    photos: Mapping[str, PhotoRecord],
    checks: Mapping[str, PhotoCheck],
    stored: Mapping[str, bool],
    settings: PrepareDatasetSettings,
    faults: FaultLog,
) -> Truth | None:
    """The true mask of a ref; None when its photo or a mask has a fault."""
    if ref.image_id not in stored:
        return None
    if ref.masks is None:
        return Truth(ref, None, 0)
    frame = checks[ref.image_id].frame
    mask = np.zeros((frame.height, frame.width), dtype=np.bool_)
    whole = True
    for record in ref.masks:
        try:
            part = _draw_mask(record, photos[ref.image_id], frame, stored[ref.image_id], settings, faults)
        except (MaskError, ImageError) as error:
            faults.add("mask", f"{record.where}: {error}; correct or remove the annotation")
            whole = False
            continue
        if not part.any():
            faults.add(
                "empty_mask",
                f"{record.where}: the mask has no pixels; expected one at least; correct or remove the annotation",
            )
            whole = False
        mask |= part
    return Truth(ref, encode_mask(mask), int(mask.sum())) if whole else None


def _draw_mask(
    record: MaskRecord,
    photo: PhotoRecord,
    frame: PhotoFrame,
    stored: bool,
    settings: PrepareDatasetSettings,
    faults: FaultLog,
) -> NDArray[np.bool_]:
    """One annotated mask in the oriented frame.

    Where the photo's record has no size (JSONL), the mask's own size tells its frame.
    """
    segmentation, rule = record.segmentation, settings.annotation_frame
    if isinstance(segmentation, Path):
        mask = read_mask_image(segmentation, settings.mask_values)
        size = (mask.shape[0], mask.shape[1])
        turned = is_stored_frame(frame, size, rule, str(segmentation))
        _remark_on_frame(photo, frame, size, rule, faults)
        if all(edge.all() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])):
            faults.remark(
                "inside_out",
                f"{record.where}: {segmentation}: mask image has all of the photo's border; expected 0 outside",
            )
        return orient(mask, frame.orientation) if turned else mask
    size = declared_size(segmentation)
    if size is not None and not stored:
        stored = is_stored_frame(frame, size, rule, "run-length code")
    if is_frame_unknown(frame, photo.size_hw or size, rule):
        check_polygon_frame(frame, segmentation)
    _remark_on_frame(photo, frame, size, rule, faults)
    height, width = (frame.stored_height, frame.stored_width) if stored else (frame.height, frame.width)

    def remark(kind: PartKind, message: str) -> None:
        faults.remark(kind, f"{record.where}: {message}")

    mask = draw_segmentation(segmentation, height, width, settings.overlapping_polygons, remark)
    _remark_on_box(record, mask, faults)
    return orient(mask, frame.orientation) if stored else mask


def _remark_on_box(record: MaskRecord, mask: NDArray[np.bool_], faults: FaultLog) -> None:
    """Compare a mask with the annotation's own box: x and y exchanged, rows for columns, or other units show here."""
    if record.box_xywh is None or not mask.any():
        return
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    drawn = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
    left, top, width, height = record.box_xywh
    said = np.array([left, top, left + width, top + height])
    # A pixel around each: small objects differ by rounding.
    a, b = (box + np.array([-1, -1, 1, 1]) for box in (drawn, said))
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared
    if shared < _LEAST_BOX_IOU * union:
        shown = ", ".join(f"{side:g}" for side in (*drawn[:2], *(drawn[2:] - drawn[:2])))
        faults.remark(
            "other_box",
            f"{record.where}: the mask's box is [{shown}], its bbox is {show(list(record.box_xywh))} (left, top, "
            "width, height); the mask is taken",
        )


def _remark_on_frame(
    photo: PhotoRecord, frame: PhotoFrame, masks_hw: tuple[int, int] | None, rule: FrameRule, faults: FaultLog
) -> None:
    if is_frame_unknown(frame, photo.size_hw or masks_hw, rule):
        faults.remark(
            "frame",
            f"{photo.where}: photo has EXIF orientation {frame.orientation}, and its annotation does not tell whether "
            "it was made before or after it; masks are taken as viewers show the photo (annotation_frame: auto)",
        )
