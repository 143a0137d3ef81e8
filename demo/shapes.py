"""Shapes as signed functions of the unit disc, their antialiased coverage, and soft textures."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
"""Coordinates in units of the radius, y downwards."""


def _circle(x: Plane, y: Plane) -> Plane:
    return np.float32(0.96) - np.hypot(x, y)


def _ring(x: Plane, y: Plane) -> Plane:
    radius = np.hypot(x, y)
    return np.minimum(0.98 - radius, radius - 0.52)


def _square(x: Plane, y: Plane) -> Plane:
    return np.float32(0.78) - np.maximum(np.abs(x), np.abs(y))


def _diamond(x: Plane, y: Plane) -> Plane:
    return ((1.0 - np.abs(x) / 0.74 - np.abs(y)) * 0.6).astype(np.float32)


def _triangle(x: Plane, y: Plane) -> Plane:
    # Base at y = 0.72, apex at y = -0.92.
    slope = np.float32(0.95 / 1.64)
    return np.minimum(0.72 - y, ((y + 0.92) * slope - np.abs(x)) * np.float32(0.865))


def _cross(x: Plane, y: Plane) -> Plane:
    across = np.minimum(0.92 - np.abs(x), 0.31 - np.abs(y))
    along = np.minimum(0.31 - np.abs(x), 0.92 - np.abs(y))
    return np.maximum(across, along)


def _star(x: Plane, y: Plane) -> Plane:
    # Five points: the edge between a tip (radius 1) and a notch (radius 0.47), by symmetry in one sector.
    tip, notch, half = 1.0, 0.47, np.pi / 5
    angle = np.abs(np.mod(np.arctan2(x, -y) + half, 2 * half) - half)
    radius = np.hypot(x, y)
    px, py = radius * np.cos(angle), radius * np.sin(angle)
    qx, qy = notch * np.cos(half), notch * np.sin(half)
    length = np.hypot(qx - tip, qy)
    return (((qx - tip) * py - qy * (px - tip)) / length).astype(np.float32)


def _heart(x: Plane, y: Plane) -> Plane:
    # A square on its corner with a half disc on each upper side.
    half, middle = 0.78, 0.10
    lobes = 0.7071 * half - np.hypot(np.abs(x) - half / 2, y - (middle - half / 2))
    point = (half - np.abs(x) - np.abs(y - middle)) * 0.7071
    return np.maximum(lobes, point).astype(np.float32)


SHAPES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "ring": _ring,
    "cross": _cross,
    "diamond": _diamond,
}
"""Shape nouns and their functions: positive inside, about the distance to the edge in radii."""


def coverage(
    shape: str, height: int, width: int, centre_x: float, centre_y: float, diameter_px: float, tilt: float
) -> NDArray[np.float32]:
    """How much of each pixel a shape covers.

    Args:
        shape: A key of `SHAPES`.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        centre_x: Centre of the shape's disc in pixels.
        centre_y: Centre of the shape's disc in pixels.
        diameter_px: Diameter of the disc that holds the shape.
        tilt: Rotation in radians.

    Returns:
        Coverage in [0, 1], float32, H W.
    """
    radius = diameter_px / 2
    reach = radius * 1.05 + 2
    top, bottom = max(int(centre_y - reach), 0), min(int(centre_y + reach) + 1, height)
    left, right = max(int(centre_x - reach), 0), min(int(centre_x + reach) + 1, width)
    rows = (np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5 - centre_y) / radius
    columns = (np.arange(left, right, dtype=np.float32)[None, :] + 0.5 - centre_x) / radius
    x = (np.cos(tilt) * columns + np.sin(tilt) * rows).astype(np.float32)
    y = (-np.sin(tilt) * columns + np.cos(tilt) * rows).astype(np.float32)
    alpha = np.zeros((height, width), np.float32)
    alpha[top:bottom, left:right] = np.clip(SHAPES[shape](x, y) * radius + 0.5, 0.0, 1.0)
    return alpha


def surface(
    rng: np.random.Generator, height: int, width: int, mean: NDArray[np.float32], strength: float
) -> NDArray[np.float32]:
    """A surface of one colour with a soft texture: stripes, dots, speckle or a gradient.

    Args:
        rng: Source of all random numbers.
        height: Height in pixels.
        width: Width in pixels.
        mean: RGB, values 0 to 255.
        strength: Greatest amplitude of the texture in grey levels.

    Returns:
        RGB float32, H W 3, values about 0 to 255.
    """
    kind = int(rng.integers(4))
    angle = float(rng.uniform(0, np.pi))
    period = float(rng.uniform(9, 20))
    amplitude = float(rng.uniform(0.5, 1.0)) * strength
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    along = (np.cos(angle) * columns + np.sin(angle) * rows).astype(np.float32)
    if kind == 0:
        pattern = np.sin(along * np.float32(2 * np.pi / period))
    elif kind == 1:
        across = (-np.sin(angle) * columns + np.cos(angle) * rows).astype(np.float32)
        turn = np.float32(2 * np.pi / period)
        pattern = np.sin(along * turn) * np.sin(across * turn)
    elif kind == 2:
        coarse = rng.normal(0.0, 0.6, (height // 4 + 1, width // 4 + 1)).astype(np.float32)
        pattern = np.repeat(np.repeat(coarse, 4, 0), 4, 1)[:height, :width]
    else:
        pattern = (along - along.mean()) / np.float32(max(height, width) / 2)
    return mean[None, None, :] + (pattern * np.float32(amplitude))[..., None].astype(np.float32)
