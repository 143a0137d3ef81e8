import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from refdiff.errors import ModelError
from refdiff.masks.rle import decode_mask
from refdiff.proposals.sam import SamSource, open_sam
from refdiff.proposals.source import Photo
from tests.proposals.rows import sam
from tests.proposals.small_sam import save_small_sam

RGB = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
PHOTO = Photo.of_pixels(RGB, "a")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads cost more than they give on so small a model."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sam")
    save_small_sam("sam", path)
    return path


@pytest.fixture(scope="module")
def source(folder: Path) -> SamSource:
    return open_sam(sam(model=str(folder)), "cpu")


def test_masks_and_confidence_are_those_of_the_pipeline(source: SamSource) -> None:
    found = source.propose(PHOTO)
    made = source.generator(
        Image.fromarray(RGB),
        points_per_crop=3,
        points_per_batch=4,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        crops_nms_thresh=1.0,
        output_rle_mask=True,
    )
    assert len(found) == len(made["rle_mask"]) > 1
    assert (np.diff(found.confidence) <= 0).all()
    assert sorted(found.confidence.tolist()) == sorted(float(score) for score in made["scores"])
    expected = set()
    for code in made["rle_mask"]:
        flat = np.repeat(np.arange(len(code["counts"])) % 2 == 1, code["counts"])
        expected.add(flat.reshape(80, 48).T.tobytes())
    assert {mask.tobytes(order="C") for mask in (m.copy() for m in found.masks)} == expected


def test_the_same_photo_gives_the_same_masks_in_batches_of_any_size(source: SamSource, folder: Path) -> None:
    again = open_sam(sam(model=str(folder)), "cpu").propose(PHOTO)
    assert again.counts == source.propose(PHOTO).counts
    in_one = open_sam(sam(model=str(folder), points_per_batch=9), "cpu").propose(PHOTO)
    assert len(in_one) == len(again)


def test_parameters_reach_the_generator(folder: Path, source: SamSource) -> None:
    everything = len(source.propose(PHOTO))
    assert len(open_sam(sam(model=str(folder), pred_iou_thresh=1.0), "cpu").propose(PHOTO)) == 0
    assert len(open_sam(sam(model=str(folder), points_per_side=1), "cpu").propose(PHOTO)) < everything
    assert len(open_sam(sam(model=str(folder), crops_nms_thresh=0.1), "cpu").propose(PHOTO)) < everything
    with_crops = open_sam(sam(model=str(folder), crops_n_layers=1), "cpu")
    seen: list[int] = []
    encoder: Any = with_crops.generator.model
    encoder.vision_encoder.register_forward_hook(lambda *_: seen.append(1))
    assert len(with_crops.propose(PHOTO)) >= everything
    assert len(seen) == 1 + 4


@pytest.mark.parametrize("size", [(1, 1), (500, 3), (2, 300)])
def test_photos_of_odd_sizes_pass(source: SamSource, size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    found = source.propose(Photo.of_pixels(rgb, "odd"))
    assert found.masks.shape[1:] == size
    assert all(decode_mask(code, *size).shape == size for code in found.counts)


@pytest.mark.parametrize("kind", ["sam_hq", "sam2"])
def test_other_models_of_the_family_run(tmp_path: Path, kind: str) -> None:
    save_small_sam(kind, tmp_path)
    made = open_sam(sam(model=str(tmp_path)), "cpu")
    assert made.propose(PHOTO).masks.shape[1:] == (48, 80)
    assert type(made.generator.model).__name__ == {"sam_hq": "SamHQModel", "sam2": "Sam2Model"}[kind]


def test_the_identity_names_model_and_image_processor(source: SamSource) -> None:
    identity = source.identity()
    assert identity["image_processor"] == "SamImageProcessor"
    assert identity["image_backend"] == "torchvision"
    assert identity["model"]["digest"].startswith("sha256:")
    json.dumps(identity)


def test_a_model_that_is_not_there_is_refused_with_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"model nosuch/sam: .*fetch it with `hf download nosuch/sam"):
        open_sam(sam(), "cpu")
    with pytest.raises(ModelError, match="cannot be loaded for mask generation"):
        open_sam(sam(model=str(tmp_path)), "cpu")


def test_weights_that_are_no_safetensors_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="expected a model of the SAM family with safetensors weights"):
        _ = open_sam(sam(model=str(copy)), "cpu").generator


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_checkpoint_that_lacks_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = load_file(copy / "model.safetensors")
    dropped = {name: value for name, value in weights.items() if "iou_prediction_head" not in name}
    assert len(dropped) < len(weights)
    save_file(dropped, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"weights are not in its file .*iou_prediction_head"):
        _ = open_sam(sam(model=str(copy)), "cpu").generator


def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="device cuda:63: not there"):
        open_sam(sam(model=str(folder)), "cuda:63")
