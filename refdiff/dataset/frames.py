"""Which frame an annotation was made in: the photo as viewers show it, or as its file stores it."""

from refdiff.dataset.settings import FrameRule
from refdiff.errors import ImageError
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
