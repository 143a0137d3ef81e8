"""Which frame an annotation was made in: the photo as viewers show it, or as its file stores it."""

from refdiff.dataset.polygons import fits
from refdiff.dataset.settings import FrameRule
from refdiff.errors import ImageError, MaskError
from refdiff.photo import PhotoFrame


def is_stored_frame(photo: PhotoFrame, annotated_hw: tuple[int, int] | None, rule: FrameRule, where: str) -> bool:
    """Whether masks of the photo are annotated in the stored frame, so that they have to be turned with it.

    Args:
        photo: The photo's frames.
        annotated_hw: Height and width in the annotation; None when it says none.
        rule: `auto` goes by the size, and where both frames have it (no orientation, a square photo, a mirrored or
            upside-down one) means the oriented frame; the other rules name the frame.
        where: What messages call the photo.

    Raises:
        ImageError: The annotated size is not that of the frame, or of either frame when the rule is `auto`.
    """
    oriented = (photo.height, photo.width)
    stored = (photo.stored_height, photo.stored_width)
    if rule != "stored" and annotated_hw in (None, oriented):
        return False
    if rule != "oriented" and annotated_hw in (None, stored):
        return True
    turned = (
        "" if photo.orientation == 1 else f" ({stored[0]} x {stored[1]} before EXIF orientation {photo.orientation})"
    )
    height, width = annotated_hw or oriented
    raise ImageError(
        f"{where}: photo is {oriented[0]} x {oriented[1]}{turned} (height x width); expected {height} x {width} as "
        "annotated; use the photos that were annotated, or correct the annotation"
    )


def is_frame_unknown(photo: PhotoFrame, annotated_hw: tuple[int, int] | None, rule: FrameRule) -> bool:
    """Whether the rule `auto` takes the oriented frame though the annotation would fit the stored one as well."""
    oriented, stored = (photo.height, photo.width), (photo.stored_height, photo.stored_width)
    if rule != "auto" or photo.orientation == 1:
        return False
    return annotated_hw is None or annotated_hw == oriented == stored


def check_polygon_frame(photo: PhotoFrame, segmentation: object) -> None:
    """See that polygons without a size fit the oriented frame, where the rule is `auto`.

    Raises:
        MaskError: They fit the photo as stored, and not as viewers show it.
    """
    if not isinstance(segmentation, list | tuple) or not segmentation:
        return
    if fits(segmentation, photo.stored_height, photo.stored_width) and not fits(
        segmentation, photo.height, photo.width
    ):
        raise MaskError(
            f"polygons fit the photo as stored, {photo.stored_width} x {photo.stored_height} (width x height), and not "
            f"as viewers show it after EXIF orientation {photo.orientation}; expected the latter by "
            "prepare_dataset.annotation_frame: auto; set stored, or turn the polygons"
        )
