"""The pipeline's autoencoder (VAE): a photo on its canvas becomes the latent that the U-Net sees."""

from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray

from refdiff.diffusion.canvas import to_signed
from refdiff.diffusion.noise import draw_noise
from refdiff.diffusion.pipeline_files import DIFFUSERS_WEIGHTS, load_part
from refdiff.errors import ModelError, ParameterError
from refdiff.model_identity import ModelIdentity

# In half precision the released weights overflow.
VAE_DTYPE = torch.float32


def load_autoencoder(identity: ModelIdentity, revision: str | None) -> AutoencoderKL:
    """The autoencoder, on the CPU.

    Args:
        identity: What `identify_pipeline` found.
        revision: The hub revision, for messages.

    Raises:
        ModelError: It is missing or broken.
    """
    return load_part(identity, revision, "vae", AutoencoderKL, {"torch_dtype": VAE_DTYPE, **DIFFUSERS_WEIGHTS})


def encode_canvas(vae: AutoencoderKL, canvas: NDArray[np.uint8], image_id: str, seed: int | None) -> torch.Tensor:
    """The latent of one photo, always encoded alone: what other photos are there moves no bit of it.

    Args:
        vae: The autoencoder.
        canvas: RGB uint8 `[side side 3]` (`fit_canvas`).
        image_id: Seeds the draw from the posterior, together with `seed`.
        seed: None takes the posterior's mean.

    Returns:
        float32 `[1 channel y x]` on the autoencoder's device, scaled as the U-Net expects.

    Raises:
        ModelError: The device's memory is too small.

    Source: docs/method.md, "Canvas" and "Noise".
    """
    pixels = torch.from_numpy(to_signed(canvas))[None].to(vae.device)
    with torch.inference_mode():
        try:
            posterior = vae.encode(pixels, return_dict=False)[0]
        except torch.OutOfMemoryError as error:
            raise too_small_for(image_id) from error
        latent = posterior.mean
        if seed is not None:
            drawn = draw_noise(seed, image_id, "posterior", latent.shape)
            latent = latent + posterior.std * drawn.to(latent.device)
        scaled = (latent - (vae.config["shift_factor"] or 0.0)) * vae.config["scaling_factor"]
        return scaled.contiguous()  # as one that was kept: convolutions may round by the order of a tensor in memory


def too_small_for(image_id: str) -> ModelError:
    """What is said where a device has no room for one photo."""
    return ModelError(f"image {image_id}: the device's memory is too small for one photo; use a smaller canvas_px")


def latent_side(canvas_px: int, vae_config: Any) -> int:
    """Side of the latent of a canvas.

    Raises:
        ParameterError: The canvas is not a multiple of the VAE's reduction.
    """
    reduction = vae_reduction(vae_config)
    if canvas_px % reduction:
        raise ParameterError(
            f"canvas_px: {canvas_px} is not a multiple of {reduction}, the reduction of the model's VAE; "
            f"use {canvas_px // reduction * reduction or reduction} or {-(-canvas_px // reduction) * reduction}"
        )
    return canvas_px // reduction


def vae_reduction(vae_config: Any) -> int:
    """Canvas pixels per latent pixel along a side: every block of the encoder but the last halves."""
    return 2 ** (len(vae_config["block_out_channels"]) - 1)
