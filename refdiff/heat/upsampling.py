"""Bringing a grid on the square canvas to the photo's pixels, as matrices."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.geometry import SquareFrame
from refdiff.heat.readout import Upsampling

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "lanczos": Image.Resampling.LANCZOS}


def photo_matrices(
    frame: SquareFrame, height: int, width: int, upsampling: Upsampling
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The upsampling of a grid to the photo as two matrices: photo = rows @ grid @ columns.T.

    Returns:
        rows float32 `[H height]`, columns float32 `[W width]`; borders of the canvas are cropped.
    """
    rows = resampling_matrix(height, frame.square_height, upsampling)
    columns = resampling_matrix(width, frame.square_width, upsampling)
    return rows[frame.top : frame.top + frame.height], columns[frame.left : frame.left + frame.width]


@lru_cache(maxsize=64)
def resampling_matrix(cells: int, pixels: int, upsampling: Upsampling) -> NDArray[np.float32]:
    """Resampling of `cells` values to `pixels`, float32 `[pixels cells]`, rows sum to 1.

    Pixel centres are halves (torch's align_corners=False); going to fewer pixels averages instead of skipping.
    """
    identity = Image.fromarray(np.eye(cells, dtype=np.float32))
    matrix = np.array(identity.resize((cells, pixels), FILTERS[upsampling]), dtype=np.float32)
    matrix.flags.writeable = False
    return matrix
