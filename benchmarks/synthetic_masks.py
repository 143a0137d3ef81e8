"""Blobs as masks, written as run-length codes without drawing their pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refdiff.masks.rle import coco

PHOTO_SIZES = ((480, 640), (640, 480), (427, 640))
CORNERS = 24


@dataclass(frozen=True, slots=True)
class Blobs:
    """Masks of one photo.

    Attributes:
        height: Pixels.
        width: Pixels.
        centres: Row and column of each, `[n 2]`.
        radii: Of each corner, `[n CORNERS]`.
        codes: COCO run-length codes.
    """

    height: int
    width: int
    centres: NDArray[np.float64]
    radii: NDArray[np.float64]
    codes: list[bytes]

    def nudge(self, rng: np.random.Generator, place: int) -> bytes:
        """Code of a mask much like one of these: a truth that a proposal meets."""
        centre = self.centres[place] + rng.normal(size=2) * 0.05 * self.radii[place].mean()
        return _encode(centre[None], self.radii[place][None] * rng.uniform(0.9, 1.15), self.height, self.width)[0]


def draw_blobs(rng: np.random.Generator, count: int, height: int, width: int) -> Blobs:
    """Random blobs, small ones more often than large ones."""
    centres = rng.uniform(0.1, 0.9, (count, 2)) * (height, width)
    size = np.exp(rng.uniform(np.log(12), np.log(0.35 * min(height, width)), (count, 1)))
    waves = rng.normal(size=(count, 3, 1)) * 0.1 * np.sin(np.arange(1, 4)[:, None] * _angles() + 1.0)
    radii = size * (1 + waves.sum(axis=1))
    return Blobs(height, width, centres, radii, _encode(centres, radii, height, width))


def _angles() -> NDArray[np.float64]:
    return np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)


def _encode(centres: NDArray[np.float64], radii: NDArray[np.float64], height: int, width: int) -> list[bytes]:
    rows = np.clip(centres[:, :1] + radii * np.sin(_angles()), 0, height)
    columns = np.clip(centres[:, 1:] + radii * np.cos(_angles()), 0, width)
    corners = np.stack([columns, rows], axis=2).reshape(len(centres), -1)
    return [code["counts"] for code in coco.frPyObjects(corners.tolist(), height, width)]
