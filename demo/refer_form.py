"""Scenes in real REFER form: a pickle of referred objects, COCO instances, photos.

The folder is what `refdiff.dataset` reads for RefCOCO: `refs(demo).p`, `instances.json` and `images/`.
"""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask
from PIL import Image
from skimage.measure import approximate_polygon, find_contours

from demo.scenes import Scene, draw_scene
from demo.sentences import describe
from demo.shapes import SHAPES

# Its published types know only one of the forms that it takes and gives.
coco: Any = pycocotools.mask

SPLIT_BY = "demo"
VALIDATION_SEEDS = range(0, 100_000)
"""Seeds of scenes that are evaluated; no training scene has one of them."""


@dataclass(frozen=True)
class ReferFolder:
    """What was written: the folder, and how many photos, objects and sentences."""

    folder: Path
    images: int
    objects: int
    sentences: int


def write_refer_folder(folder: Path, seed: int, images: int, sentences_per_image: int) -> ReferFolder:
    """Draw scenes and write them as a REFER dataset with the one split `val`.

    Args:
        folder: Where to; made when it is not there.
        seed: First scene seed; scene number n has seed + n.
        images: Number of scenes.
        sentences_per_image: Sentences of each scene.

    Raises:
        ValueError: The seeds leave the validation range.
    """
    if not (seed in VALIDATION_SEEDS and seed + images - 1 in VALIDATION_SEEDS):
        raise ValueError(
            f"scene seeds {seed} to {seed + images - 1}: expected them within {VALIDATION_SEEDS.start} to "
            f"{VALIDATION_SEEDS.stop - 1}; other seeds belong to the training scenes"
        )
    photos = folder / "images"
    photos.mkdir(parents=True, exist_ok=True)
    instances: dict[str, list[dict[str, Any]]] = {
        "images": [],
        "annotations": [],
        "categories": [
            {"id": number, "name": name, "supercategory": "shape"} for number, name in enumerate(SHAPES, start=1)
        ],
    }
    category_ids = {category["name"]: category["id"] for category in instances["categories"]}
    refs: list[dict[str, Any]] = []
    sentence_id = 0
    for number in range(images):
        scene = draw_scene(seed + number)
        image_id = number + 1
        file_name = f"scene_{image_id:06d}.png"
        Image.fromarray(scene.image).save(photos / file_name)
        height, width = scene.size_hw
        instances["images"].append({"id": image_id, "file_name": file_name, "height": height, "width": width})
        annotation_ids = []
        for item in scene.objects:
            annotation_ids.append(len(instances["annotations"]) + 1)
            instances["annotations"].append(
                _annotation(item.mask, annotation_ids[-1], image_id, category_ids[item.shape])
            )
        said: dict[int, list[dict[str, Any]]] = {}
        for target, sentence in describe(scene, np.random.default_rng([1, seed + number]), sentences_per_image):
            said.setdefault(target, []).append(
                {
                    "tokens": sentence.text.split(),
                    "raw": sentence.text,
                    "sent_id": sentence_id,
                    "sent": sentence.text,
                }
            )
            sentence_id += 1
        refs += [
            _ref(scene, target, sentences, file_name, image_id, annotation_ids[target], category_ids, len(refs) + place)
            for place, (target, sentences) in enumerate(sorted(said.items()))
        ]
    (folder / "instances.json").write_text(json.dumps(instances), encoding="utf-8")
    (folder / f"refs({SPLIT_BY}).p").write_bytes(pickle.dumps(refs, protocol=2))
    return ReferFolder(folder, images, len(refs), sentence_id)


def _ref(
    scene: Scene,
    target: int,
    sentences: list[dict[str, Any]],
    file_name: str,
    image_id: int,
    annotation_id: int,
    category_ids: dict[str, int],
    ref_id: int,
) -> dict[str, Any]:
    return {
        "sent_ids": [sentence["sent_id"] for sentence in sentences],
        "file_name": file_name,
        "ann_id": annotation_id,
        "ref_id": ref_id,
        "image_id": image_id,
        "split": "val",
        "sentences": sentences,
        "category_id": category_ids[scene.objects[target].shape],
    }


def _annotation(
    mask: np.ndarray[Any, np.dtype[np.bool_]], annotation_id: int, image_id: int, category_id: int
) -> dict[str, Any]:
    """A COCO annotation: a polygon where one describes the mask well, otherwise plain or compressed runs in turn."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)]
    polygon = _polygon(mask)
    if polygon is not None:
        segmentation: Any = [polygon]
        area = float(coco.area(coco.merge(coco.frPyObjects([polygon], *mask.shape))))
    else:
        segmentation = _runs(mask) if annotation_id % 2 else _compressed(mask)
        area = float(mask.sum())
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": segmentation,
        "area": area,
        "bbox": box,
        "iscrowd": 0,
    }


def _polygon(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> list[float] | None:
    """The outline as x, y, x, y ..., when the mask is one piece without holes and the outline fits it (IoU > 0.97)."""
    contours = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    if len(contours) != 1:
        return None
    points = approximate_polygon(contours[0], 0.6)[:-1] - 0.5
    flat = [round(float(value), 2) for row, column in points for value in (column, row)]
    if len(flat) < 6:
        return None
    drawn = coco.decode(coco.merge(coco.frPyObjects([flat], *mask.shape))).astype(bool)
    return flat if (drawn & mask).sum() > 0.97 * (drawn | mask).sum() else None


def _runs(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, Any]:
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]]))
    counts = lengths[:-1] if flat[-1] else lengths
    return {"size": list(mask.shape), "counts": [int(length) for length in counts]}


def _compressed(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, Any]:
    code = coco.encode(np.asfortranarray(mask.view(np.uint8)))
    return {"size": list(mask.shape), "counts": code["counts"].decode("ascii")}
