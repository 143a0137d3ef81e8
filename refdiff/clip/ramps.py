"""Position ramps: a photo darkened along the direction that a sentence states, and the names of such variants.

A variant is `none` or `<ramp>_<direction>`, for example `paper_top` or `released_left`.
"""

from collections.abc import Iterable
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from refdiff.clip.settings import Ramp
from refdiff.errors import ParameterError

NO_RAMP = "none"
DIRECTIONS = ("left", "right", "top", "bottom")
RELEASED_DIRECTIONS = ("left", "right")


def variant_of(ramp: Ramp, direction: str, direction_released: str) -> str:
    """The variant that an expression uses under `ramp`.

    Args:
        ramp: `none`, `paper` or `released`.
        direction: The expression's direction by the paper's rule (`none`, left, right, top, bottom).
        direction_released: Its direction by the released rule (`none`, left, right).

    Raises:
        ParameterError: The ramp or the direction is unknown.
    """
    if ramp not in get_args(Ramp):
        raise ParameterError(f"ramp: expected one of {', '.join(get_args(Ramp))}, got {ramp!r}")
    if ramp == "none":
        return NO_RAMP
    stated = direction if ramp == "paper" else direction_released
    known = DIRECTIONS if ramp == "paper" else RELEASED_DIRECTIONS
    if stated == "none":
        return NO_RAMP
    if stated not in known:
        raise ParameterError(f"direction of the {ramp} ramp: expected none or {', '.join(known)}, got {stated!r}")
    return f"{ramp}_{stated}"


def occurring_variants(
    ramps: Iterable[Ramp], directions: Iterable[str], directions_released: Iterable[str]
) -> tuple[str, ...]:
    """The distinct variants that a photo's expressions use under any of `ramps`, sorted.

    Args:
        ramps: Ramps to embed.
        directions: Direction of each expression of the photo, by the paper's rule.
        directions_released: The same by the released rule, in the same order.
    """
    pairs = set(zip(directions, directions_released, strict=True))
    return tuple(sorted({variant_of(ramp, *pair) for ramp in ramps for pair in pairs}))


def ramp_profile(variant: str, length: int) -> NDArray[np.float64]:
    """Weights along the ramp's axis, `[length]` in [0, 1]; index 0 is the left or the top.

    The paper's ramp falls from 1 at the stated side to 0 at the opposite one. The released ramp falls to 0 over the
    nearer two thirds, and is 0 in the last third.

    Raises:
        ParameterError: The variant is unknown.

    Source: docs/method.md, "Position ramps": paper; released code, apply_position.
    """
    ramp, _, direction = variant.partition("_")
    known = {"paper": DIRECTIONS, "released": RELEASED_DIRECTIONS}.get(ramp, ())
    if direction not in known:
        raise ParameterError(
            f"variant {variant!r}: expected none, paper_<{'|'.join(DIRECTIONS)}> or "
            f"released_<{'|'.join(RELEASED_DIRECTIONS)}>"
        )
    slope = length if ramp == "paper" else length * 2 // 3
    flat = np.zeros(length - slope)
    if direction in ("left", "top"):
        return np.concatenate([np.linspace(1.0, 0.0, slope), flat])
    # A single pixel is at the stated side, as linspace(1, 0, 1) has it.
    rising = np.linspace(0.0, 1.0, slope) if slope > 1 else np.ones(slope)
    return np.concatenate([flat, rising])


def apply_ramp(photo: NDArray[np.uint8], variant: str) -> NDArray[np.uint8]:
    """The photo with the variant's ramp multiplied into its pixels, rounded down; the photo itself for `none`.

    Args:
        photo: RGB uint8 `[height width 3]`.
        variant: `none` or `<ramp>_<direction>`.

    Differs: the paper does not say whether its ramp lies on pixels or on features; it lies on pixels here, as the
        released one does.
    """
    if variant == NO_RAMP:
        return photo
    vertical = variant.endswith(("_top", "_bottom"))
    height, width = photo.shape[:2]
    profile = ramp_profile(variant, height if vertical else width)
    weights = profile[:, None, None] if vertical else profile[None, :, None]
    return (photo * weights).astype(np.uint8)
