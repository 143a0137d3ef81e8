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
from transformers import MaskGenerationPipeline

from refdiff.errors import ModelError, ParameterError
from refdiff.masks.rle import decode_mask
from refdiff.proposals.sam import SamSource, open_sam
from refdiff.proposals.source import Photo
from tests.proposals.rows import sam
from tests.proposals.small_sam import save_small_sam

RGB = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
PHOTO = Photo.of_pixels(RGB, "a")
KINDS = ("sam", "sam_hq", "sam2")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads cost more than they give on so small a model."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    for kind, folder in made.items():
        save_small_sam(kind, folder)
    return made


@pytest.fixture(scope="module")
def folder(folders: dict[str, Path]) -> Path:
    return folders["sam"]


@pytest.fixture(scope="module")
def source(folder: Path) -> SamSource:
    return open_sam(sam(model=str(folder)), "cpu")


def _by_transformers(source: SamSource, rgb: np.ndarray) -> dict[bytes, float]:
    """What transformers' own pipeline gives: the pixels of each mask, and its score."""
    settings = source.settings
    generator = MaskGenerationPipeline(model=source.generator.model, image_processor=source.generator.image_processor)
    made: Any = generator(
        Image.fromarray(rgb),
        points_per_crop=settings.points_per_side,
        points_per_batch=settings.points_per_batch,
        pred_iou_thresh=settings.pred_iou_thresh,
        stability_score_thresh=settings.stability_score_thresh,
        stability_score_offset=settings.stability_score_offset,
        mask_threshold=settings.mask_threshold,
        crops_n_layers=settings.crops_n_layers,
        crops_nms_thresh=settings.crops_nms_thresh,
    )
    return {np.asarray(mask).tobytes(): float(score) for mask, score in zip(made["masks"], made["scores"], strict=True)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crops", [0, 1])
@pytest.mark.parametrize("pixels_at_once", [None, 1])
def test_masks_and_confidence_are_those_of_the_pipeline_bit_for_bit(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, kind: str, crops: int, pixels_at_once: int | None
) -> None:
    """Also where masks are enlarged a point at a time, and where points are left out before it."""
    if pixels_at_once is not None:
        monkeypatch.setattr("refdiff.proposals.sam_generator.PIXELS_AT_ONCE", pixels_at_once)
    everything = open_sam(sam(model=str(folders[kind])), "cpu").propose(PHOTO)
    assert len(everything) > 1
    least = float(everything.confidence[3])
    source = open_sam(
        sam(model=str(folders[kind]), pred_iou_thresh=least, crops_n_layers=crops, crops_nms_thresh=0.7), "cpu"
    )
    found, expected = source.propose(PHOTO), _by_transformers(source, RGB)
    assert 0 < len(found) < len(everything)
    assert (np.diff(found.confidence) <= 0).all()
    masks = [mask.tobytes() for mask in found.masks]
    assert dict(zip(masks, found.confidence.tolist(), strict=True)) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_gives_the_masks_of_float32_but_for_rounding(folders: dict[str, Path], kind: str) -> None:
    """Their logits lie around 0, where a random network rounds most."""
    full, half = (
        open_sam(sam(model=str(folders[kind]), dtype=dtype), "cpu").propose(PHOTO) for dtype in ("float32", "bfloat16")
    )
    assert len(half) == len(full)
    areas, others = full.masks.reshape(len(full), -1) @ np.ones(RGB[..., 0].size), half.masks.reshape(len(half), -1)
    shared = full.masks.reshape(len(full), -1).astype(float) @ others.T
    overlap = shared / (areas[:, None] + others.sum(axis=1) - shared)
    assert overlap.max(axis=1).mean() > 0.9
    assert np.abs(np.sort(full.confidence) - np.sort(half.confidence)).max() < 2e-3


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


def test_the_identity_names_model_and_image_processor(source: SamSource) -> None:
    identity = source.identity()
    assert identity["image_processor"] == "SamImageProcessor"
    assert identity["image_backend"] == "torchvision"
    assert identity["model"]["digest"].startswith("sha256:")
    json.dumps(identity)


def test_a_model_that_is_not_there_is_refused_with_the_command_that_fetches_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"model nosuch/sam: .*fetch it with `hf download nosuch/sam"):
        open_sam(sam(), "cpu")


def test_float16_on_a_cpu_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(ParameterError, match=r"dtype: a CPU .* expected bfloat16 or float32 on a CPU, got float16"):
        open_sam(sam(model=str(folder), dtype="float16"), "cpu")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("lacks", r"2 weights are not in its file, .*mask_decoder.iou_prediction_head.proj_in"),
        ("has more", r"1 weights of its file have no place in it \(vision_encoder.layers.9.lora\)"),
        (
            "has other shapes",
            r"1 weights have another shape in its file \(mask_decoder.iou_prediction_head.proj_in.bias\)",
        ),
        ("is not finite", r"weights hold NaN or infinity \(mask_decoder.iou_prediction_head.proj_in.bias\)"),
    ],
)
def test_weights_that_are_not_the_networks_are_refused(folder: Path, tmp_path: Path, change: str, message: str) -> None:
    copy, name = tmp_path / "copy", "mask_decoder.iou_prediction_head.proj_in"
    shutil.copytree(folder, copy)
    weights = load_file(copy / "model.safetensors")
    if change == "lacks":
        del weights[f"{name}.bias"], weights[f"{name}.weight"]
    elif change == "has more":
        weights["vision_encoder.layers.9.lora"] = torch.zeros(2)
    elif change == "has other shapes":
        weights[f"{name}.bias"] = torch.zeros(3)
    else:
        weights[f"{name}.bias"][1] = float("nan")
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=message):
        open_sam(sam(model=str(copy)), "cpu").load()


@pytest.mark.parametrize("name", ["mask_decoder.output_hypernetworks_mlps", "mask_decoder.iou"])
def test_masks_and_scores_that_are_not_finite_are_refused_with_their_photo(folder: Path, name: str) -> None:
    """Weights near the largest number pass, and overflow in the network."""
    source = open_sam(sam(model=str(folder)), "cpu")
    with torch.no_grad():
        for key, value in source.generator.model.named_parameters():
            if key.startswith(name):
                value.fill_(3e38)
    with pytest.raises(
        ModelError, match=r"image a: NaN or infinity in masks or scores; expected finite numbers; in float32"
    ):
        source.propose(PHOTO)


def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="device cuda:63: not there"):
        open_sam(sam(model=str(folder)), "cuda:63")
