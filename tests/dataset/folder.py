"""A miniature dataset in REFER's form, written to a folder, to be changed and broken by tests."""

import functools
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from refdiff.dataset.prepare import prepare_dataset
from refdiff.dataset.settings import PrepareDatasetSettings, SplitRow
from refdiff.dataset.tables import Dataset
from refdiff.masks.rle import encode_mask
from refdiff.params import find, parse_section, read_params

PARAMS = Path(__file__).parents[2] / "refdiff/presets/demo.yaml"

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def shipped_settings(**changes: object) -> PrepareDatasetSettings:
    """The section of the shipped params.yaml, with some values changed."""
    return parse_section(PrepareDatasetSettings, {**_shipped_section(), **changes}, "prepare_dataset")


@functools.cache
def _shipped_section() -> dict[str, object]:
    section = find(read_params(PARAMS), "prepare_dataset")
    assert isinstance(section, dict)
    return section


def split_row(root: Path, /, **changes: object) -> SplitRow:
    row = {
        "format": "refer",
        "folder": str(root),
        "images": str(root / "images"),
        "split_by": "unc",
        "split": "val",
        "benchmark": None,
    }
    return parse_section(SplitRow, {**row, **changes}, "splits.mini")


def rectangle(height: int, width: int, rows: slice, columns: slice) -> Mask:
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[rows, columns] = True
    return mask


def compressed_code(mask: Mask) -> dict[str, Any]:
    return {"size": list(mask.shape), "counts": encode_mask(mask).decode("ascii")}


def plain_code(mask: Mask) -> dict[str, Any]:
    """COCO's plain run-length code, column by column, the first run of zeros."""
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if flat[0] else runs}


def box_polygon(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def make_ref(ref_id: int, annotation: object, image_id: int, split: str, *sentences: str) -> dict[str, Any]:
    ids = [100 * ref_id + position for position in range(len(sentences))]
    return {
        "ref_id": ref_id,
        "ann_id": annotation,
        "image_id": image_id,
        "split": split,
        "category_id": 1,
        "file_name": f"photo_{image_id}_{ref_id}.png",
        "sent_ids": ids,
        "sentences": [
            {"sent_id": sent_id, "raw": text, "sent": text.lower(), "tokens": text.lower().split()}
            for sent_id, text in zip(ids, sentences, strict=True)
        ],
    }


@dataclass
class MiniFolder:
    """A dataset in memory and the folder it is written to.

    Photos: 1 (12 x 16), 2 (10 x 10), 3 (8 x 20), as `images/photo_<id>.png`. Objects: 10 and 11 on photo 1, 12 on
    photo 2 (two overlapping polygons), 13 (crowd, plain run-length code) and 14 (list of compressed codes, as RefCLEF
    has them) on photo 3. Refs 1, 2, 3 are in split val, ref 4 in testA, ref 5 in testAB.
    """

    root: Path
    refs: list[dict[str, Any]]
    instances: dict[str, Any]

    @property
    def images(self) -> Path:
        return self.root / "images"

    def photo(self, image_id: int) -> Path:
        return self.images / f"photo_{image_id}.png"

    def write(self) -> None:
        (self.root / "refs(unc).p").write_bytes(pickle.dumps(self.refs, protocol=2))
        (self.root / "grefs(unc).json").write_text(json.dumps(self.refs), encoding="utf-8")
        (self.root / "instances.json").write_text(json.dumps(self.instances), encoding="utf-8")

    def prepare(self, row: dict[str, object] | None = None, **settings: object) -> Dataset:
        self.write()
        return prepare_dataset("mini", split_row(self.root, **(row or {})), shipped_settings(**settings))


def make_folder(root: Path, change: Callable[[MiniFolder], object] | None = None) -> MiniFolder:
    """Write the folder, then apply `change` to it."""
    sizes = {1: (12, 16), 2: (10, 10), 3: (8, 20)}
    crowd = rectangle(8, 20, slice(2, 6), slice(3, 9))
    halves = [rectangle(8, 20, slice(0, 4), slice(0, 5)), rectangle(8, 20, slice(4, 8), slice(10, 20))]
    instances = {
        "images": [
            {"id": image_id, "file_name": f"photo_{image_id}.png", "height": height, "width": width}
            for image_id, (height, width) in sizes.items()
        ],
        "annotations": [
            {"id": 10, "image_id": 1, "iscrowd": 0, "segmentation": [box_polygon(2, 3, 7, 9)]},
            {"id": 11, "image_id": 1, "iscrowd": 0, "segmentation": [box_polygon(9, 1, 15, 5.5)]},
            {
                "id": 12,
                "image_id": 2,
                "iscrowd": 0,
                "segmentation": [box_polygon(1, 1, 6, 6), box_polygon(4, 4, 9, 9)],
            },
            {"id": 13, "image_id": 3, "iscrowd": 1, "segmentation": plain_code(crowd)},
            {"id": 14, "image_id": 3, "iscrowd": 0, "segmentation": [compressed_code(half) for half in halves]},
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }
    refs = [
        make_ref(1, 10, 1, "val", "The Left Box", "a box"),
        make_ref(2, 12, 2, "val", "both squares"),
        make_ref(3, 11, 1, "val", "right one"),
        make_ref(4, 13, 3, "testA", "the crowd"),
        make_ref(5, 14, 3, "testAB", "two parts"),
    ]
    folder = MiniFolder(root, refs, instances)
    folder.images.mkdir(parents=True)
    for image_id, (height, width) in sizes.items():
        ramp = np.arange(height * width * 3, dtype=np.uint32).reshape(height, width, 3)
        Image.fromarray((ramp % 251).astype(np.uint8)).save(folder.photo(image_id))
    if change is not None:
        change(folder)
    return folder
