"""The one reader of photos: RGB as the file stores it, with the EXIF orientation applied.

Every stage that looks at a photo reads it here, so that masks, proposals and heat maps share one frame.

Colour profiles (ICC, and PNG's gamma and primaries) are ignored, as the published code and the models' own training do:
they read photos with Pillow or OpenCV, which hand on the stored values, and a tenth of COCO's photos have a profile
by which their colours would be others. A conversion would also depend on the version of the colour library. So a photo
in Display P3 or ProPhoto has other colours here than in a viewer that minds its profile; `prepare_dataset` counts such
photos and names them in dataset.json.
"""

import io
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.errors import ImageError
from refdiff.file_kind import recognise

# Pillow's own limit: it calls anything larger a possible decompression bomb.
MAX_PIXELS = 89_478_485

# Formats that are pixels and nothing else: others may start programs (EPS) or need external ones.
PHOTO_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000")

_ORIENTATION_TAG = 0x0112

ScalarT = TypeVar("ScalarT", bound=np.generic)


@dataclass(frozen=True, slots=True)
class PhotoFrame:
    """The two frames of a photo: as stored in the file, and as its EXIF orientation turns it.

    Attributes:
        height: Rows after orientation; the frame of everything in refdiff.
        width: Columns after orientation.
        stored_height: Rows in the file.
        stored_width: Columns in the file.
        orientation: The EXIF value, 1 (as stored) to 8.
    """

    height: int
    width: int
    stored_height: int
    stored_width: int
    orientation: int


def open_photo(path: Path) -> Image.Image:
    """A photo decoded in full, in the file's own mode; `convert_image` makes RGB of it.

    Raises:
        ImageError: The file is missing, empty, truncated, larger than `MAX_PIXELS`, or no photo.
    """
    return load_image(read_bytes(path, str(path)), str(path), MAX_PIXELS, PHOTO_FORMATS)


def read_bytes(path: Path, where: str) -> bytes:
    """The bytes of an image file, which messages call `where`.

    Raises:
        ImageError: The file is missing, cannot be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(_describe_absence(path, where)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{where}: image cannot be read ({reason}); expected a readable file") from error
    if not data:
        raise ImageError(f"{where}: image is an empty file; expected a photo, got 0 bytes; fetch it again")
    return data


def _describe_absence(path: Path, where: str) -> str:
    """Why a file is not there, as far as its name tells, and what to do."""
    if path.is_symlink():
        return f"{where}: image is a link to {path.readlink()}, which is not there; expected a file; fetch that one"
    near = next((each for each in _spellings(path) if os.path.exists(each)), None)  # noqa: PTH110 too long a name is none
    advice = "check the folder and the name" if near is None else f"{near} is there, correct the name"
    return f"{where}: image is not there; expected a file; {advice}"


def _spellings(path: Path) -> Iterator[Path]:
    """The path as systems may have it for which capitals, or the composition of accents, do not count."""
    for ending in (path.suffix, path.suffix.lower(), path.suffix.upper(), ".jpg", ".jpeg", ".png"):
        name = f"{path.stem}{ending}"
        for spelt in (name, name.lower(), name.upper()):
            yield from (path.with_name(unicodedata.normalize(form, spelt)) for form in ("NFC", "NFD"))


def decode_photo(data: bytes, where: str, max_pixels: int) -> tuple[NDArray[np.uint8], PhotoFrame]:
    """Decode a whole photo from the bytes of its file.

    Grey, palette, CMYK and 16-bit photos become RGB; 16-bit values are scaled to 8 bit; transparency is shown on white.

    Args:
        data: The file's content.
        where: What the messages call it.
        max_pixels: Larger photos are refused before they are decoded.

    Returns:
        RGB uint8 `[H W 3]` after orientation, and the photo's frames.

    Raises:
        ImageError: The bytes are not a whole photo of a known format, or it has too many pixels.
    """
    return convert_image(load_image(data, where, max_pixels, PHOTO_FORMATS), where)


def convert_image(image: Image.Image, where: str) -> tuple[NDArray[np.uint8], PhotoFrame]:
    """An image that Pillow opened, as `decode_photo` gives it; its EXIF orientation is applied where it still has one.

    Raises:
        ImageError: Its pixels cannot become RGB.
    """
    orientation = read_orientation(image)
    stored = _to_rgb(image, where)
    rgb = np.ascontiguousarray(orient(stored, orientation))
    return rgb, PhotoFrame(rgb.shape[0], rgb.shape[1], stored.shape[0], stored.shape[1], orientation)


def load_image(data: bytes, where: str, max_pixels: int, formats: tuple[str, ...]) -> Image.Image:
    """An image decoded in full, in the file's own mode; of an animation the first frame.

    Raises:
        ImageError: As `decode_photo`.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
        pixels = image.width * image.height
        if pixels <= max_pixels:
            image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{where}: image is too large ({error}); expected at most {max_pixels:,} pixels") from error
    except Image.UnidentifiedImageError as error:
        kind, advice = recognise(data) or (f"{len(data)} bytes of something else", None)
        raise ImageError(
            f"{where}: not an image that can be read; expected {', '.join(formats)}, got {kind}; "
            f"{advice or 'fetch it again or convert it'}"
        ) from error
    except Exception as error:  # decoders of broken files raise nearly every builtin kind
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(
            f"{where}: image is truncated or broken ({reason}); expected a whole image, got {len(data)} bytes; "
            "fetch it again"
        ) from error
    if pixels > max_pixels:
        raise ImageError(
            f"{where}: image has {image.height} x {image.width} = {pixels:,} pixels; expected at most {max_pixels:,}; "
            "make it smaller, or raise prepare_dataset.max_pixels"
        )
    return image


def orient(pixels: NDArray[ScalarT], orientation: int) -> NDArray[ScalarT]:
    """An array `[H W ...]` in the stored frame, turned into the oriented one.

    Args:
        pixels: A photo or mask as stored.
        orientation: The EXIF value, 1 to 8.

    Source: EXIF 2.3, tag 274.
    """
    if orientation in (2, 3, 6, 7):
        mirrored = {2: (1,), 3: (0, 1), 6: (0,), 7: (0, 1)}[orientation]
    else:
        mirrored = {4: (0,), 8: (1,)}.get(orientation, ())
    turned = np.flip(pixels, mirrored)
    return turned.swapaxes(0, 1) if orientation >= 5 else turned


def read_orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 when there is none, or when the EXIF block is damaged, as viewers do."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - a damaged EXIF block raises nearly every builtin kind
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_rgb(image: Image.Image, where: str) -> NDArray[np.uint8]:
    """RGB uint8 `[H W 3]` of a decoded image, in the stored frame."""
    if image.mode == "F":
        raise ImageError(f"{where}: image has floating-point pixels; expected 8 or 16 bits; convert it to PNG")
    try:
        if image.mode == "I" or image.mode.startswith("I;16"):
            return _scale_16_bit(np.asarray(image).astype(np.int64), where)
        if image.has_transparency_data:
            rgba = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        return np.asarray(image.convert("RGB"))
    except ImageError:
        raise
    except Exception as error:  # conversion of odd modes raises nearly every builtin kind
        raise ImageError(f"{where}: image of mode {image.mode} cannot become RGB ({error}); convert it") from error


def _scale_16_bit(grey: NDArray[np.int64], where: str) -> NDArray[np.uint8]:
    if grey.min() < 0 or grey.max() > 65535:
        raise ImageError(
            f"{where}: image has values from {grey.min()} to {grey.max()}; expected 0 to 65535; convert it to 8 bits"
        )
    scaled = np.rint(grey / 257.0).astype(np.uint8)
    return np.repeat(scaled[:, :, None], 3, axis=2)
