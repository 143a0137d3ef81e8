"""SD 1.5's architecture with random weights, at its own width or a smaller one: speed needs no training."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from transformers import CLIPTextConfig, CLIPTextModel

from refdiff.demo.models import DIFFUSION
from refdiff.model_identity import ModelIdentity

# Channels of the first level of the released model; the other widths follow.
FULL_WIDTH = 320


def unet_config(width: int) -> dict[str, Any]:
    """Of the released model for `FULL_WIDTH`; otherwise every number of channels in proportion."""
    return {
        "sample_size": 64,
        "in_channels": 4,
        "out_channels": 4,
        "cross_attention_dim": _text_width(width),
        "attention_head_dim": 8,  # diffusers' old name for the number of heads
        "block_out_channels": (width, 2 * width, 4 * width, 4 * width),
        "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        "layers_per_block": 2,
    }


def vae_config(width: int) -> dict[str, Any]:
    """The same of the autoencoder, whose first level has 128 channels."""
    first = 128 * width // FULL_WIDTH // 32 * 32 or 32
    return {
        "block_out_channels": (first, 2 * first, 4 * first, 4 * first),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": 4,
        "layers_per_block": 2,
    }


def write_configs(folder: Path, width: int) -> ModelIdentity:
    """The configurations alone: enough to plan a capture."""
    parts = (("unet", unet_config(width)), ("vae", vae_config(width)), ("scheduler", {"num_train_timesteps": 1000}))
    for part, config in parts:
        (folder / part).mkdir(parents=True)
        file = "scheduler_config.json" if part == "scheduler" else "config.json"
        (folder / part / file).write_text(json.dumps(config), encoding="utf-8")
    return ModelIdentity("sd15", folder, "sha256:none")


def write_pipeline(folder: Path, width: int, dtype: torch.dtype) -> None:
    """A whole pipeline; the tokenizer is that of the demo."""
    torch.manual_seed(0)
    unet: Any = UNet2DConditionModel(**unet_config(width))
    vae: Any = AutoencoderKL(**vae_config(width))
    shutil.copytree(DIFFUSION / "tokenizer", folder / "tokenizer")
    tokens = len(json.loads((folder / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
    text = CLIPTextConfig(
        vocab_size=max(tokens, 2),
        hidden_size=_text_width(width),
        intermediate_size=4 * _text_width(width),
        num_hidden_layers=12,
        num_attention_heads=12,
        max_position_embeddings=77,
    )
    unet.to(dtype).save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    encoder: Any = CLIPTextModel(text)
    encoder.to(dtype).save_pretrained(folder / "text_encoder")
    DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").save_pretrained(
        folder / "scheduler"
    )
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}', encoding="utf-8")


def _text_width(width: int) -> int:
    return 768 * width // FULL_WIDTH // 12 * 12
