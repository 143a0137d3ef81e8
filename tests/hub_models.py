"""Models of the presets' classes with random weights, in the layout of the hub's cache: tiny where the class allows it.

CLIP's architecture is fixed by its name, so that one has its real size, in bfloat16.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tests.proposals.small_sam import save_small_sam

DEMO_SD = Path(__file__).parents[1] / "refdiff/demo/models/sd"
SD = "stable-diffusion-v1-5/stable-diffusion-v1-5"
SAM = {"facebook/sam-vit-huge": "sam", "facebook/sam2.1-hiera-tiny": "sam2"}
CLIP = "timm/vit_base_patch16_clip_224.openai"
CLIP_NAME = "ViT-B-16-quickgelu"
_COMMIT = "0123456789abcdef0123456789abcdef01234567"
_BLOCK = 1 << 20


def fill_hub(cache: Path, scratch: Path, can_run: bool = True) -> None:
    """Put every model that a preset names into an empty cache.

    Args:
        cache: The folder that HF_HUB_CACHE names.
        scratch: An empty folder.
        can_run: False leaves CLIP's weights a hole on the disk, which takes no time and no room.
    """
    save_tiny_diffusion(scratch / "sd")
    add_to_hub(cache, SD, scratch / "sd")
    for name, kind in SAM.items():
        save_small_sam(kind, scratch / kind)
        _make_sure_of_its_masks(scratch / kind / "model.safetensors", {"sam": 0.95, "sam2": 4.0}[kind])
        add_to_hub(cache, name, scratch / kind)
    save_random_clip(scratch / "clip", can_run)
    add_to_hub(cache, CLIP, scratch / "clip")


def add_to_hub(cache: Path, name: str, folder: Path) -> None:
    """Move a model's files to where `hf download` puts them: blobs, a snapshot of links, and the ref `main`."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / _COMMIT
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        blob = repository / "blobs" / hashlib.sha256(str(file.relative_to(folder)).encode()).hexdigest()
        link = snapshot / file.relative_to(folder)
        blob.parent.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, blob)
        link.symlink_to(Path(*[".."] * (len(link.relative_to(repository).parts) - 1), "blobs", blob.name))
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(_COMMIT)


def save_tiny_diffusion(folder: Path) -> None:
    """A pipeline with the blocks of SD 1.5, and so its map sizes, 8 channels wide; the demo's tokenizer."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    width = 16
    UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=width,
    ).save_pretrained(folder / "unet")
    autoencoder: dict[str, Any] = {
        "sample_size": 512,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (4, 4, 4, 4),
        "norm_num_groups": 4,
        "layers_per_block": 1,
    }
    AutoencoderKL(**autoencoder).save_pretrained(folder / "vae")
    shutil.copytree(DEMO_SD / "tokenizer", folder / "tokenizer")
    shutil.copytree(DEMO_SD / "scheduler", folder / "scheduler")
    shutil.copy(DEMO_SD / "model_index.json", folder)
    text = json.loads((DEMO_SD / "text_encoder/config.json").read_text())
    small = {"hidden_size": width, "intermediate_size": width, "projection_dim": width, "dtype": "float32"}
    CLIPTextModel(CLIPTextConfig(**{**text, **small})).save_pretrained(folder / "text_encoder")


def _make_sure_of_its_masks(path: Path, quality: float) -> None:
    """Random weights pass none of the thresholds of the presets: raise the predicted quality (in SAM 2 before a
    sigmoid) and the logits.
    """
    weights = load_file(path)
    for name, values in weights.items():
        if name.startswith("mask_decoder.iou_prediction_head.proj_out."):
            values.fill_(quality if name.endswith("bias") else 0.0)
        elif name.startswith("mask_decoder.output_hypernetworks_mlps.") and ".proj_out." in name:
            values.mul_(1e8)
    save_file(weights, path, metadata={"format": "pt"})


def save_random_clip(folder: Path, can_run: bool) -> None:
    """ViT-B/16 as open_clip's copy of OpenAI's model has it: the same numbers over and over, which is fast to write."""
    import open_clip

    folder.mkdir(parents=True)
    weights = open_clip.create_model(CLIP_NAME, pretrained=None, device="meta").state_dict()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": open_clip.get_model_config(CLIP_NAME)}))
    shapes = {name: tuple(each.shape) for name, each in weights.items()}
    _write_weights(folder / "open_clip_model.safetensors", shapes, can_run)


def _write_weights(path: Path, shapes: Mapping[str, tuple[int, ...]], can_run: bool) -> None:
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * int(np.prod(shape, dtype=np.int64))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    numbers = torch.randn(_BLOCK // 2, generator=torch.Generator().manual_seed(0)) * 0.02
    block = numbers.to(torch.bfloat16).view(torch.int16).numpy().tobytes()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for start in range(0, end if can_run else 0, _BLOCK):
            file.write(block[: end - start])
        file.truncate(8 + len(text) + end)
