"""The parts of a Stable Diffusion pipeline that extraction needs, loaded."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from transformers import CLIPTextModel, CLIPTokenizer

from refdiff.device import check_precision, choose_device
from refdiff.diffusion.autoencoder import load_autoencoder
from refdiff.diffusion.compiling import compile_parts
from refdiff.diffusion.latent_size import vae_reduction
from refdiff.diffusion.pipeline_files import load_part
from refdiff.diffusion.schedule import Prediction
from refdiff.diffusion.settings import Dtype
from refdiff.errors import ModelError
from refdiff.model_identity import ModelIdentity


@dataclass(frozen=True, slots=True)
class DiffusionModel:
    """A loaded pipeline, in evaluation mode, on one device.

    Attributes:
        identity: Which model it is.
        unet: In the chosen precision.
        vae: In float32 (`refdiff.diffusion.autoencoder`).
        text_encoder: In the chosen precision.
        tokenizer: Of the text encoder.
        alphas: Cumulative product of the noise schedule, one float per training timestep.
        prediction: What the U-Net was trained to predict.
        device: Where it is.
        dtype: Precision of U-Net and text encoder.
    """

    identity: ModelIdentity
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    alphas: tuple[float, ...]
    prediction: Prediction
    device: torch.device
    dtype: torch.dtype

    @property
    def reduction(self) -> int:
        """Canvas pixels per latent pixel, along a side."""
        return vae_reduction(self.vae.config)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of a prompt with start, end and padding: 77 in CLIP's text encoders."""
        return int(self.text_encoder.config.max_position_embeddings)


def load_model(identity: ModelIdentity, revision: str | None, device: str, dtype: Dtype) -> DiffusionModel:
    """Load a pipeline.

    Args:
        identity: What `identify_pipeline` found.
        revision: The hub revision, for messages.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        dtype: Precision of U-Net and text encoder.

    Raises:
        ModelError: A part is missing or broken, its weights are not all there or not finite, or the parts do not fit.
        ParameterError: The device does not run this precision.
    """
    place, number = choose_device(device), getattr(torch, dtype)
    check_precision(place, dtype, "extract_attention.dtype")
    options = {"torch_dtype": number, "low_cpu_mem_usage": False}
    unet = load_part(identity, revision, "unet", UNet2DConditionModel, options)
    vae: Any = load_autoencoder(identity, revision)
    text_encoder = load_part(identity, revision, "text_encoder", CLIPTextModel, {"dtype": number})
    tokenizer = load_part(identity, revision, "tokenizer", CLIPTokenizer)
    scheduler = load_part(identity, revision, "scheduler", DDIMScheduler)
    if len(tokenizer) > text_encoder.config.vocab_size:
        raise ModelError(
            f"model {identity.name}: its tokenizer has {len(tokenizer)} words and its text encoder "
            f"{text_encoder.config.vocab_size}; the folder mixes two models"
        )
    for part in (unet, vae, text_encoder):
        part.requires_grad_(False).eval().to(place)
    prediction = scheduler.config["prediction_type"]
    alphas = tuple(float(alpha) for alpha in scheduler.alphas_cumprod)
    return DiffusionModel(identity, unet, vae, text_encoder, tokenizer, alphas, prediction, place, number)


def prepare_unet(model: DiffusionModel, with_compiling: bool) -> None:
    """Lay out and compile a U-Net for speed; values move by last bits.

    On an accelerator in half precision convolutions want channels last. On a CPU that brought nothing that could be
    told from noise (benchmarks/README.md), so the layout stays.

    Args:
        model: What `load_model` gave; changed in place.
        with_compiling: Whether to compile (see `compile_parts`).

    Raises:
        ModelError: It is to be compiled, and nothing can be compiled here.
    """
    unet: Any = model.unet
    if model.device.type == "cuda" and model.dtype != torch.float32:
        unet.to(memory_format=torch.channels_last)
    if with_compiling:
        compile_parts(unet, model.device)
