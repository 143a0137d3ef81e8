"""The pipeline's autoencoder (VAE): a photo on its canvas becomes the latent that the U-Net sees."""

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray

from refdiff.diffusion.canvas import to_signed
from refdiff.diffusion.noise import draw_noise
from refdiff.diffusion.pipeline_files import load_part
from refdiff.errors import ModelError
from refdiff.finite import precision_advice
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
    # The other value of low_cpu_mem_usage needs the package accelerate.
    return load_part(identity, revision, "vae", AutoencoderKL, {"torch_dtype": VAE_DTYPE, "low_cpu_mem_usage": False})


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
        ModelError: The device's memory is too small, or the latent is not finite.

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
        if not torch.isfinite(latent).all():
            raise ModelError(f"image {image_id}: its latent is not finite; {precision_advice(vae.dtype)}")
        scaled = (latent - (vae.config["shift_factor"] or 0.0)) * vae.config["scaling_factor"]
        return scaled.contiguous()  # as one that was kept: convolutions may round by the order of a tensor in memory


def too_small_for(image_id: str) -> ModelError:
    """What is said where a device has no room for one photo."""
    return ModelError(f"image {image_id}: the device's memory is too small for one photo; use a smaller canvas_px")
