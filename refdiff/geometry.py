"""Frames: where a photo lies on the square canvas that the diffusion model sees, and where its maps lie on the photo.

The square frame is the photo with black borders (letterbox) or the photo stretched to a square (resize). Sizes are
(height, width) in pixels.
"""

from dataclasses import dataclass
from typing import Literal

CanvasMode = Literal["letterbox", "resize"]


@dataclass(frozen=True, slots=True)
class SquareFrame:
    """The square around a photo, in the photo's own pixels.

    Attributes:
        height: Photo height.
        width: Photo width.
        square_height: Height of the frame that becomes the square canvas: max(height, width) for a letterbox, the
            photo's own height when it is stretched.
        square_width: The same for the width.
        top: Rows of border above the photo.
        left: Columns of border left of it.
    """

    height: int
    width: int
    square_height: int
    square_width: int
    top: int
    left: int


def square_frame(height: int, width: int, mode: CanvasMode) -> SquareFrame:
    """The square frame of a photo of `height` x `width`.

    A letterbox puts the photo in the middle; an odd border has its larger part below or to the right.

    Source: docs/method.md, "Canvas": released code, letterbox.
    """
    if mode == "resize":
        return SquareFrame(height, width, height, width, 0, 0)
    side = max(height, width)
    return SquareFrame(height, width, side, side, (side - height) // 2, (side - width) // 2)
