"""The colours of the drawings and of the page, chosen to stay apart for colour-blind eyes too."""

import numpy as np
from numpy.typing import NDArray

CHOICE_RGB = (255, 149, 0)
"""The chosen mask."""

TRUTH_RGB = (64, 186, 255)
"""The true mask."""

PROPOSAL_RGB = (255, 255, 255)
"""Outlines of the candidates."""

HALO_RGB = (12, 14, 18)
"""Thin dark edge that keeps a line readable on a bright photo."""

_HEAT_STOPS = np.array(
    [
        (0, 0, 4),
        (40, 11, 84),
        (101, 21, 110),
        (159, 42, 99),
        (212, 72, 66),
        (245, 125, 21),
        (250, 193, 39),
        (252, 255, 164),
    ],
    dtype=np.float32,
)


def heat_colours(heat: NDArray[np.floating]) -> NDArray[np.float32]:
    """Colours of heat values, dark violet (0) over red to pale yellow (1), even in lightness.

    Args:
        heat: `[height width]`; values are clipped to [0, 1].

    Returns:
        RGB float32 `[height width 3]` in [0, 255].
    """
    at = np.clip(heat, 0.0, 1.0) * (len(_HEAT_STOPS) - 1)
    stops = np.arange(len(_HEAT_STOPS))
    return np.stack([np.interp(at, stops, _HEAT_STOPS[:, c]) for c in range(3)], axis=-1).astype(np.float32)
