"""Scenes drawn by rule: coloured, softly textured objects on a textured ground.

A scene is a pure function of its seed and of `SceneStyle`: every random number comes from one generator made
from the seed, so the same seed gives the same bytes on every run, whatever was drawn before.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from demo.shapes import SHAPES, coverage, surface

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (205, 48, 48),
    "orange": (240, 136, 36),
    "yellow": (240, 216, 60),
    "green": (52, 156, 70),
    "blue": (44, 92, 205),
    "purple": (130, 62, 168),
    "pink": (244, 146, 190),
}
"""Colour words of objects and their mean RGB, uint8."""

GROUNDS: dict[str, tuple[int, int, int]] = {
    "grey": (142, 146, 150),
    "dark": (78, 82, 88),
    "pale": (214, 212, 206),
    "brown": (120, 104, 90),
    "beige": (188, 178, 160),
}
"""Words for the ground and its mean RGB, uint8; all far less saturated than any object."""


@dataclass(frozen=True)
class SceneStyle:
    """What scenes look like; lengths in pixels, shares in [0, 1]."""

    sizes_hw: tuple[tuple[int, int], ...] = ((256, 256), (256, 256), (256, 256), (256, 320), (320, 256))
    objects: tuple[int, int] = (3, 7)
    diameters_px: dict[str, tuple[int, int]] = field(
        default_factory=lambda: {"small": (38, 52), "medium": (62, 78), "large": (90, 110)}
    )
    size_shares: tuple[float, float, float] = (0.34, 0.40, 0.26)
    kin_share: float = 0.65
    overlap_share: float = 0.3
    least_visible: float = 0.60
    gap_px: int = 4
    margin_px: int = 3
    tilt_degrees: float = 14.0
    colour_jitter: float = 8.0
    placement_tries: int = 60


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        shape: Shape noun, a key of `demo.shapes.SHAPES`.
        colour: Colour word, a key of `COLOURS`.
        size: "small", "medium" or "large".
        box_xyxy: Tight box of the visible mask, right and bottom exclusive.
        mask: Visible pixels, bool, H W.
        depth: Place in the drawing order; a greater depth covers a smaller one.
    """

    shape: str
    colour: str
    size: str
    box_xyxy: tuple[int, int, int, int]
    mask: NDArray[np.bool_]
    depth: int

    @property
    def centre_xy(self) -> tuple[float, float]:
        """Centre of the box of the visible mask, in pixels."""
        left, top, right, bottom = self.box_xyxy
        return (left + right) / 2, (top + bottom) / 2


@dataclass(frozen=True)
class Scene:
    """A drawn scene.

    Attributes:
        seed: The seed it was drawn from.
        image: RGB uint8, H W 3.
        objects: From the lowest to the topmost.
        ground: Word for the ground, a key of `GROUNDS`.
    """

    seed: int
    image: NDArray[np.uint8]
    objects: tuple[SceneObject, ...]
    ground: str

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]


@dataclass
class _Placed:
    shape: str
    colour: str
    size: str
    alpha: NDArray[np.float32]
    solid: NDArray[np.bool_]
    visible: NDArray[np.bool_]


def draw_scene(seed: int, style: SceneStyle | None = None) -> Scene:
    """Draw the scene of a seed.

    Args:
        seed: Any integer of at least 0.
        style: What scenes look like; the default style if None.

    Returns:
        A scene with at least `style.objects[0]` objects, each at least `style.least_visible` visible.
    """
    style = style or SceneStyle()
    rng = np.random.default_rng(seed)
    while True:
        height, width = style.sizes_hw[int(rng.integers(len(style.sizes_hw)))]
        placed = _place_objects(rng, style, height, width)
        if len(placed) >= style.objects[0]:
            break
    ground = str(rng.choice(list(GROUNDS)))
    canvas = surface(rng, height, width, np.array(GROUNDS[ground], np.float32), strength=7.0)
    for item in placed:
        mean = np.array(COLOURS[item.colour], np.float32)
        mean = mean + rng.uniform(-style.colour_jitter, style.colour_jitter, 3).astype(np.float32)
        paint = surface(rng, height, width, mean, strength=9.0)
        canvas += item.alpha[..., None] * (paint - canvas)
    canvas += rng.normal(0.0, 2.0, canvas.shape).astype(np.float32)
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    objects = tuple(
        SceneObject(item.shape, item.colour, item.size, _tight_box(item.visible), item.visible, depth)
        for depth, item in enumerate(placed)
    )
    return Scene(seed, image, objects, ground)


def _place_objects(rng: np.random.Generator, style: SceneStyle, height: int, width: int) -> list[_Placed]:
    wanted = int(rng.integers(style.objects[0], style.objects[1] + 1))
    kinds = _choose_kinds(rng, style, wanted)
    placed: list[_Placed] = []
    for shape, colour, size in kinds:
        may_touch = bool(rng.random() < style.overlap_share)
        for _ in range(style.placement_tries):
            low, high = style.diameters_px[size]
            diameter = float(rng.uniform(low, high))
            reach = diameter / 2 + style.margin_px
            centre_x = float(rng.uniform(reach, width - reach))
            centre_y = float(rng.uniform(reach, height - reach))
            tilt = float(np.deg2rad(rng.uniform(-style.tilt_degrees, style.tilt_degrees)))
            alpha = coverage(shape, height, width, centre_x, centre_y, diameter, tilt)
            candidate = _Placed(shape, colour, size, alpha, alpha > 0.5, alpha > 0.5)
            if _fits(candidate, placed, may_touch, style):
                for item in placed:
                    item.visible = item.visible & ~candidate.solid
                placed.append(candidate)
                break
    return placed


def _choose_kinds(rng: np.random.Generator, style: SceneStyle, wanted: int) -> list[tuple[str, str, str]]:
    """Shape, colour and size of each object; often several share a shape, some of them a colour too."""
    sizes = list(style.diameters_px)
    shapes, colours = list(SHAPES), list(COLOURS)
    kinds = [
        (
            str(rng.choice(shapes)),
            str(rng.choice(colours)),
            str(rng.choice(sizes, p=style.size_shares)),
        )
        for _ in range(wanted)
    ]
    if wanted > 1 and rng.random() < style.kin_share:
        shape, colour, _ = kinds[0]
        kinds[1] = (shape, kinds[1][1], kinds[1][2])
        if wanted > 2 and rng.random() < 0.4:
            kinds[2] = (shape, colour, kinds[2][2])
    order = rng.permutation(wanted)
    return [kinds[int(i)] for i in order]


def _fits(candidate: _Placed, placed: list[_Placed], may_touch: bool, style: SceneStyle) -> bool:
    near = _grown(candidate.solid, style.gap_px)
    for item in placed:
        if not np.any(near & item.solid):
            continue
        if not may_touch or item.colour == candidate.colour:
            return False
        left_over = np.count_nonzero(item.visible & ~candidate.solid)
        if left_over < style.least_visible * np.count_nonzero(item.solid):
            return False
    return True


def _grown(mask: NDArray[np.bool_], by_px: int) -> NDArray[np.bool_]:
    """The mask grown by a square of `by_px` pixels; it must not touch the image border more than that."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    top, left = max(top - by_px, 0), max(left - by_px, 0)
    bottom, right = min(bottom + by_px, mask.shape[0]), min(right + by_px, mask.shape[1])
    inner = mask[top:bottom, left:right]
    padded = np.pad(inner, by_px)
    grown_rows = np.zeros_like(inner)
    for shift in range(2 * by_px + 1):
        grown_rows |= padded[shift : shift + inner.shape[0], by_px : by_px + inner.shape[1]]
    padded = np.pad(grown_rows, by_px)
    grown = np.zeros_like(mask)
    for shift in range(2 * by_px + 1):
        grown[top:bottom, left:right] |= padded[by_px : by_px + inner.shape[0], shift : shift + inner.shape[1]]
    return grown


def _tight_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
