"""What a photo's file holds that `refdiff.photo` passes over: a colour profile, further frames."""

import functools
import io

import numpy as np
from PIL import Image, ImageCms

from refdiff.dataset.faults import RemarkKind
from refdiff.dataset.fields import show

# sRGB profiles of several makers differ by rounding.
_LARGEST_DIFFERENCE = 8


def remark_on_photo(data: bytes) -> list[tuple[RemarkKind, str]]:
    """Kinds and texts of remarks on a photo.

    Args:
        data: The bytes of a file that decodes.
    """
    return remark_on_image(Image.open(io.BytesIO(data)))


def remark_on_image(image: Image.Image) -> list[tuple[RemarkKind, str]]:
    """As `remark_on_photo`, of an image that Pillow opened."""
    remarks: list[tuple[RemarkKind, str]] = []
    profile = _foreign_profile(image)
    if profile:
        text = "which is ignored: its colours are not those that viewers show"
        remarks.append(("colour_profile", f"photo has the colour profile {show(profile)}, {text}"))
    frames = _count_frames(image)
    # Phones put smaller copies and depth maps behind a JPEG.
    if frames > 1 and image.format != "MPO":
        remarks.append(("frames", f"photo has {frames} frames or pages; the first is taken"))
    return remarks


def _count_frames(image: Image.Image) -> int:
    """Frames of an animation or pages of a TIFF; 1 where those after the first are damaged, as none is read."""
    try:
        return getattr(image, "n_frames", 1)
    except Exception:  # noqa: BLE001 - decoders of broken files raise nearly every builtin kind
        return 1


def _foreign_profile(image: Image.Image) -> str:
    """What the ICC profile of a photo calls itself, if viewers show other colours by it; empty otherwise."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return ""
    return _describe_foreign(profile, "L" if image.mode in ("1", "LA") else image.mode)


@functools.lru_cache(maxsize=256)
def _describe_foreign(profile: bytes, mode: str) -> str:
    """As `_foreign_profile`; a profile that is damaged or of another mode is ignored by viewers too."""
    mode = "RGB" if mode in ("P", "PA", "RGBA", "RGBX") else mode
    try:
        content = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        colours = _sample(mode)
        shown = ImageCms.profileToProfile(colours, content, ImageCms.createProfile("sRGB"), outputMode="RGB")
        name = ImageCms.getProfileDescription(content).strip() or "without a name"
    except (OSError, ValueError, ImageCms.PyCMSError):
        return ""
    assert shown is not None  # only a conversion in place gives None
    difference = np.abs(np.asarray(shown, np.int16) - np.asarray(colours.convert("RGB"), np.int16))
    return name if difference.max() > _LARGEST_DIFFERENCE else ""


def _sample(mode: str) -> Image.Image:
    """Colours of a mode from everywhere."""
    levels = np.linspace(0, 255, 5).astype(np.uint8)
    channels = len(Image.new(mode, (1, 1)).getbands())
    grid = np.stack(np.meshgrid(*[levels] * channels), axis=-1)
    return Image.frombytes(mode, (len(levels) ** channels, 1), grid.tobytes())
