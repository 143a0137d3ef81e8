"""Pictures as part of the page: small, and as `data:` URIs."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.report.content import Picture
from refdiff.report.settings import RenderReportSettings

SUPERSAMPLING = 2
"""Pictures are drawn this many times larger and then reduced, so that lines are smooth."""


def encode_picture(drawn: NDArray[np.uint8], alt: str, settings: RenderReportSettings) -> Picture:
    """A drawing of `SUPERSAMPLING` times the final size as a picture.

    Args:
        drawn: RGB uint8 `[height width 3]`.
        alt: What it shows.
        settings: Format and quality.
    """
    height, width = (max(1, side // SUPERSAMPLING) for side in drawn.shape[:2])
    image = Image.fromarray(drawn).resize((width, height), Image.Resampling.BOX)
    stream = io.BytesIO()
    image.save(stream, format=settings.image_format.upper(), quality=settings.image_quality)
    code = base64.b64encode(stream.getvalue()).decode("ascii")
    return Picture(f"data:image/{settings.image_format};base64,{code}", width, height, alt)
