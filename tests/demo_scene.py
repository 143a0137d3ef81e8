"""One scene of the demo and sentences about it, for tests that run the demo's models."""

import numpy as np
from numpy.typing import NDArray

from demo.scenes import draw_scene

SEED = 3


def scene_photo(seed: int = SEED) -> NDArray[np.uint8]:
    """RGB uint8 `[H W 3]`."""
    return draw_scene(seed).image


def scene_sentences(seed: int = SEED) -> list[str]:
    """What the first two objects are called."""
    first, second = draw_scene(seed).objects[:2]
    return [f"the {first.colour} {first.shape}", f"{second.size} {second.colour} {second.shape} on the left"]
