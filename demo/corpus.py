"""Training corpora, drawn once: scenes on the diffusion model's canvas, and crops of scenes for CLIP.

Their seeds start where the validation seeds end, so that no training scene is ever evaluated.
"""

import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.refer_form import VALIDATION_SEEDS
from demo.scenes import Scene, SceneStyle, draw_scene
from refdiff.geometry import square_frame
from refdiff.whole_file import replacing

SPARSE = SceneStyle(objects=(1, 4), size_shares=(0.2, 0.4, 0.4), kin_share=0.3)
"""Three of four training scenes of the diffusion model hold few objects, so that a caption says most of what is
there; the fourth is like those of the validation set."""


@dataclass(frozen=True)
class ObjectRecord:
    """What a caption may say of an object; `x` and `y` are its centre as shares of the photo's width and height."""

    shape: str
    colour: str
    size: str
    x: float
    y: float


@dataclass(frozen=True)
class SceneRecord:
    """A training scene on the canvas.

    Attributes:
        canvas: RGB uint8, the letterboxed photo, canvas canvas 3.
        objects: Its objects.
        masks: Visible pixels of each object on the canvas, bool, objects canvas canvas. For measuring what the model
            points at; no loss reads them.
    """

    canvas: NDArray[np.uint8]
    objects: tuple[ObjectRecord, ...]
    masks: NDArray[np.bool_]


@dataclass(frozen=True)
class Crop:
    """A picture for CLIP and what is in it.

    Attributes:
        kind: "whole" (an object on black), "window" (an object in its surroundings at the photo's own scale), "part"
            (a piece of an object on black), "pair" (two objects on black) or "ground".
        objects: Indices of the objects it shows.
        picture: RGB uint8, side side 3.
    """

    kind: str
    objects: tuple[int, ...]
    picture: NDArray[np.uint8]


@dataclass(frozen=True)
class CropRecord:
    """The crops of one scene."""

    objects: tuple[ObjectRecord, ...]
    ground: str
    crops: tuple[Crop, ...]


def object_records(scene: Scene) -> tuple[ObjectRecord, ...]:
    """What captions may say of each object of a scene."""
    height, width = scene.size_hw
    return tuple(
        ObjectRecord(item.shape, item.colour, item.size, item.centre_xy[0] / width, item.centre_xy[1] / height)
        for item in scene.objects
    )


def scene_record(seed: int, canvas_px: int, style: SceneStyle | None) -> SceneRecord:
    """The scene of a seed, letterboxed with black and resized (Lanczos) to the canvas."""
    scene = draw_scene(seed, style)
    frame = square_frame(*scene.size_hw, "letterbox")
    rows = slice(frame.top, frame.top + frame.height)
    columns = slice(frame.left, frame.left + frame.width)
    square = np.zeros((frame.square_height, frame.square_width, 3), np.uint8)
    square[rows, columns] = scene.image
    canvas = np.asarray(Image.fromarray(square).resize((canvas_px, canvas_px), Image.Resampling.LANCZOS))
    masks = []
    for item in scene.objects:
        plane = np.zeros(square.shape[:2], np.uint8)
        plane[rows, columns] = item.mask.astype(np.uint8) * 255
        small = Image.fromarray(plane).resize((canvas_px, canvas_px), Image.Resampling.BOX)
        masks.append(np.asarray(small) >= 128)
    return SceneRecord(canvas, object_records(scene), np.stack(masks))


def training_scene(seed: int, canvas_px: int) -> SceneRecord:
    """A training scene: three of four sparse, the fourth like a validation scene."""
    return scene_record(seed, canvas_px, SPARSE if seed % 4 else None)


def crop_record(seed: int, side_px: int) -> CropRecord:
    """Crops of the scene of a seed: every object whole, in a window and in part; ground; a pair."""
    scene = draw_scene(seed)
    rng = np.random.default_rng([9, seed])
    crops: list[Crop] = []
    covered = np.zeros(scene.size_hw, np.bool_)
    for index, item in enumerate(scene.objects):
        covered |= item.mask
        crops.append(Crop("whole", (index,), _on_black(scene.image, item.mask, side_px)))
        x, y = item.centre_xy
        crops.append(
            Crop("window", (index,), _window(scene.image, y + rng.uniform(-8, 8), x + rng.uniform(-8, 8), side_px))
        )
        part = _part(item.mask, x, y, rng)
        if part.sum() > 60:
            crops.append(Crop("part", (index,), _on_black(scene.image, part, side_px)))
    ground = ~covered
    height, width = scene.size_hw
    rows, columns = np.mgrid[:height, :width]
    reach = rng.uniform(15, 60)
    patch = (
        ground & (np.abs(rows - rng.integers(0, height)) < reach) & (np.abs(columns - rng.integers(0, width)) < reach)
    )
    if patch.sum() > 100:
        crops.append(Crop("ground", (), _on_black(scene.image, patch, side_px)))
    crops.append(Crop("ground", (), _on_black(scene.image, ground, side_px)))
    if len(scene.objects) > 1:
        first, second = (int(index) for index in rng.permutation(len(scene.objects))[:2])
        both = scene.objects[first].mask | scene.objects[second].mask
        crops.append(Crop("pair", (first, second), _on_black(scene.image, both, side_px)))
        hole = ground | scene.objects[int(rng.integers(len(scene.objects)))].mask
        crops.append(Crop("ground", (), _on_black(scene.image, hole, side_px)))
    return CropRecord(object_records(scene), scene.ground, tuple(crops))


RecordT = TypeVar("RecordT")


def load_or_draw(file: Path, draw: Callable[[int], RecordT], seeds: range, workers: int) -> list[RecordT]:
    """The records of `seeds`: read from `file` when it is there, drawn and written otherwise.

    Args:
        file: A pickle in the work folder, written by this function and by nobody else.
        draw: Makes the record of a seed; importable, so that worker processes can run it.
        seeds: The scenes' seeds.
        workers: Processes to draw with.

    Raises:
        ValueError: A seed belongs to the validation scenes.
    """
    if seeds.start < VALIDATION_SEEDS.stop:
        raise ValueError(f"training seeds from {seeds.start}: expected {VALIDATION_SEEDS.stop} or more")
    if file.is_file():
        return pickle.loads(file.read_bytes())  # noqa: S301 the training's own file, in its own work folder
    with ProcessPoolExecutor(workers) as pool:
        records = list(pool.map(draw, seeds, chunksize=20))
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as partial_file:
        partial_file.write_bytes(pickle.dumps(records))
    return records


def scene_drawer(canvas_px: int) -> Callable[[int], SceneRecord]:
    """`training_scene` for a canvas."""
    return partial(training_scene, canvas_px=canvas_px)


def crop_drawer(side_px: int) -> Callable[[int], CropRecord]:
    """`crop_record` for a picture size."""
    return partial(crop_record, side_px=side_px)


def _on_black(image: NDArray[np.uint8], mask: NDArray[np.bool_], side_px: int) -> NDArray[np.uint8]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    cut = (image * mask[..., None])[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.asarray(Image.fromarray(cut).resize((side_px, side_px), Image.Resampling.BICUBIC))


def _window(image: NDArray[np.uint8], y: float, x: float, side_px: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    top = int(np.clip(y - side_px / 2, 0, height - side_px))
    left = int(np.clip(x - side_px / 2, 0, width - side_px))
    return image[top : top + side_px, left : left + side_px]


def _part(mask: NDArray[np.bool_], x: float, y: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The object on one side of a line, or within a small disc around one of its pixels."""
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    inside = np.flatnonzero(mask)
    centre = int(inside[int(rng.integers(inside.size))])
    angle = rng.uniform(0, 2 * np.pi)
    along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    part = mask & (along > rng.uniform(-0.1, 0.6) * np.sqrt(mask.sum()) / 2)
    if rng.random() < 0.3:
        row, column = divmod(centre, mask.shape[1])
        part = mask & (np.hypot(rows - row, columns - column) < rng.uniform(6, 16))
    return part
