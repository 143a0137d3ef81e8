import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from demo.refer_form import VALIDATION_SEEDS, write_refer_folder
from demo.scenes import draw_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    made = write_refer_folder(folder, 20, 12, 4)
    assert (made.images, made.sentences) == (12, 48)
    return folder


def test_the_records_are_those_of_refer(folder: Path) -> None:
    refs = pickle.loads((folder / "refs(demo).p").read_bytes())  # noqa: S301 written by the fixture
    instances = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
    annotations = {annotation["id"]: annotation for annotation in instances["annotations"]}
    names = {category["id"]: category["name"] for category in instances["categories"]}
    ids = [sentence["sent_id"] for ref in refs for sentence in ref["sentences"]]
    assert len(set(ids)) == len(ids) == 48
    assert len({ref["ref_id"] for ref in refs}) == len(refs)
    for ref in refs:
        assert set(ref) == {
            "sent_ids", "file_name", "ann_id", "ref_id", "image_id", "split", "sentences", "category_id",
        }  # fmt: skip
        assert ref["sent_ids"] == [sentence["sent_id"] for sentence in ref["sentences"]]
        annotation = annotations[ref["ann_id"]]
        assert (annotation["image_id"], annotation["category_id"]) == (ref["image_id"], ref["category_id"])
        assert all(names[ref["category_id"]] in sentence["tokens"] for sentence in ref["sentences"])


def test_masks_of_every_form_are_the_drawn_ones(folder: Path) -> None:
    instances = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
    forms: set[str] = set()
    drawn = [item.mask for seed in range(20, 32) for item in draw_scene(seed).objects]
    sizes = {image["id"]: (image["height"], image["width"]) for image in instances["images"]}
    for annotation, mask in zip(instances["annotations"], drawn, strict=True):
        segmentation = annotation["segmentation"]
        if isinstance(segmentation, list):
            forms.add("polygon")
            height, width = sizes[annotation["image_id"]]
            code = coco.merge(coco.frPyObjects(segmentation, height, width))
            least = 0.97
        else:
            forms.add(type(segmentation["counts"]).__name__)
            plain = isinstance(segmentation["counts"], list)
            code = coco.frPyObjects(segmentation, *mask.shape) if plain else segmentation
            least = 1.0
        found = coco.decode(code).astype(bool)
        assert (found & mask).sum() >= least * (found | mask).sum()
    assert forms == {"polygon", "list", "str"}


def test_photos_are_the_drawn_scenes(folder: Path) -> None:
    photo = np.asarray(Image.open(folder / "images" / "scene_000003.png"))
    assert (photo == draw_scene(22).image).all()


def test_training_seeds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="belong to the training scenes"):
        write_refer_folder(tmp_path, VALIDATION_SEEDS.stop - 2, 3, 4)
