"""Connected parts of a mask."""

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label


def label_parts(mask: NDArray[np.bool_], corners: bool) -> NDArray[np.int32]:
    """The parts of a mask, numbered from 1 in reading order of their first pixels; 0 outside.

    Args:
        mask: Bool `[height width]`.
        corners: Whether pixels that touch at a corner are connected, as those that share an edge are.
    """
    return np.asarray(label(mask, connectivity=2 if corners else 1)).astype(np.int32)
