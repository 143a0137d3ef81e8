"""Colour profiles of photos, which `refdiff.photo` ignores: is one there by which the colours would be others?"""

import functools
import io

import numpy as np
from PIL import Image, ImageCms

# sRGB profiles of several makers differ by rounding.
_LARGEST_DIFFERENCE = 8


def foreign_profile(data: bytes) -> str:
    """What the ICC profile of a photo calls itself, if viewers show other colours by it; empty otherwise.

    Args:
        data: The bytes of a file that decodes.
    """
    image = Image.open(io.BytesIO(data))
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return ""
    return _describe_foreign(profile, "L" if image.mode in ("1", "LA") else image.mode)


@functools.lru_cache(maxsize=256)
def _describe_foreign(profile: bytes, mode: str) -> str:
    """As `foreign_profile`; a profile that is damaged or of another mode is ignored by viewers too."""
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
