"""Noise that belongs to an image: drawn from (seed, image id), whatever the order, the device or the batch."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import torch

Purpose = Literal["posterior", "diffusion"]


def draw_noise(seed: int, image_id: str, purpose: Purpose, shape: Sequence[int]) -> torch.Tensor:
    """Standard normal noise, float32 on the CPU.

    Args:
        seed: The stage's seed.
        image_id: The image that it is for.
        purpose: Noise of the VAE's posterior and of the diffusion are independent of each other.
        shape: Of the result.
    """
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{image_id}".encode()).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32)
