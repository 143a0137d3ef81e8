"""Small open_clip models with random weights, written as `local-dir:` folders, and settings for them."""

import json
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import save_file

from refdiff.clip.settings import ClipSettings

VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT: dict[str, Any] = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1}
PREPROCESSING = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}

PARITY_FOLDER = Path(__file__).parents[1] / "fixtures" / "parity" / "clip"


def write_small_clip(folder: Path, vision: dict[str, Any] | None = None, seed: int = 0) -> Path:
    """A model folder; `vision` changes its image tower."""
    model_cfg: dict[str, Any] = {"embed_dim": 24, "vision_cfg": {**VISION, **(vision or {})}, "text_cfg": TEXT}
    torch.manual_seed(seed)
    network = CLIP(24, CLIPVisionCfg(**model_cfg["vision_cfg"]), CLIPTextCfg(**TEXT))
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / "model.safetensors")
    config = {"model_cfg": model_cfg, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def clip_settings(folder: Path, **changes: Any) -> ClipSettings:
    """Settings with the released conventions, for the model in `folder`."""
    values = {
        "model": f"local-dir:{folder}",
        "pretrained": None,
        "device": "cpu",
        "dtype": "float32",
        "local_ramps": ("none", "released"),
        "global_ramps": ("none", "paper"),
        "interpolation": "bilinear",
        "crop_background_rgb": (0, 0, 0),
        "crop_max_aspect": 8.0,
        "global_fit": "crop",
        "global_max_side": 3.0,
        "batch_tokens": 2048,
        "class_tokens": 64,
        "text_batch": 16,
        "rows_per_file": 16,
    }
    return ClipSettings(**{**values, **changes})
