"""The square canvas: a photo with black borders, or stretched, resized to the side that the model sees."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.geometry import CanvasMode, square_frame
from refdiff.photo import MAX_PIXELS, decode_photo

# Pixels of a letterboxed strip held at a time, so that a photo of 20,000 x 10 does not become 400 million.
STRIP_PIXELS = 1 << 22


def open_canvas(content: bytes, where: str, canvas_px: int, mode: CanvasMode) -> NDArray[np.uint8]:
    """The photo of an image file on its canvas, as `fit_canvas` puts it there.

    Args:
        content: The file's bytes.
        where: What messages call it.
        canvas_px: Side of the canvas.
        mode: See `fit_canvas`.

    Raises:
        ImageError: It cannot be decoded.
    """
    return fit_canvas(decode_photo(content, where, MAX_PIXELS)[0], canvas_px, mode)


def fit_canvas(photo: NDArray[np.uint8], canvas_px: int, mode: CanvasMode) -> NDArray[np.uint8]:
    """The photo on its canvas, resized by Lanczos.

    Along the rows first, strip by strip, then along the columns: the same bits as Pillow resizing the whole square at
    once, in bounded memory.

    Args:
        photo: RGB uint8 `[H W 3]`.
        canvas_px: Side of the canvas.
        mode: Black borders in the middle of which the photo lies, or the photo stretched.

    Returns:
        RGB uint8 `[canvas_px canvas_px 3]`.

    Source: docs/method.md, "Canvas": released code.
    """
    height, width = photo.shape[:2]
    frame = square_frame(height, width, mode)
    tall = np.zeros((frame.square_height, canvas_px, 3), dtype=np.uint8)
    rows = max(1, STRIP_PIXELS // frame.square_width)
    for start in range(0, height, rows):
        strip = photo[start : start + rows]
        wide = np.zeros((len(strip), frame.square_width, 3), dtype=np.uint8)
        wide[:, frame.left : frame.left + width] = strip
        top = frame.top + start
        tall[top : top + len(strip)] = _resize(wide, len(strip), canvas_px)
    return _resize(tall, canvas_px, canvas_px)


def to_signed(canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixel values from 0..255 to [-1, 1]; `[H W 3]` becomes `[3 H W]`."""
    values = canvas.astype(np.float32) / np.float32(255)
    return np.ascontiguousarray((2 * values - 1).transpose(2, 0, 1))


def _resize(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))
