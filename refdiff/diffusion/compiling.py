"""Compiling parts of a U-Net with torch.compile, and seeing first that this machine can."""

from typing import Any

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D

from refdiff.errors import ModelError

# One for each combination of widths: by default a function is compiled eight times and then given up.
_WIDTHS_COMPILED = 64


def compile_parts(unet: torch.nn.Module, device: torch.device) -> None:
    """Compile residual blocks and feed-forward layers, in place; the compiling itself happens in the first passes.

    Their norms, activations and sums run as one kernel each, and what is read, shared or cut short lies outside of
    them. The number of rows is a symbol in the compiled code, so that batches of other sizes compile nothing anew.

    Raises:
        ModelError: Nothing can be compiled here.
    """
    _try_compiler(device)
    torch.compiler.config.recompile_limit = _WIDTHS_COMPILED
    parts: list[Any] = [part for part in unet.modules() if isinstance(part, (ResnetBlock2D, FeedForward))]
    for part in parts:
        part.forward = torch.compile(part.forward, dynamic=True)


def _try_compiler(device: torch.device) -> None:
    """Compile a line of arithmetic, so that a missing compiler is told before a photo is read."""
    try:
        torch.compile(_trial)(torch.zeros(8, device=device))
    except (RuntimeError, OSError, ImportError) as error:
        wanted = "Triton" if device.type == "cuda" else "a C++ compiler (g++, or the one that CXX names)"
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"extract_attention.compile: torch.compile does not work on this machine ({reason}); expected {wanted}; "
            "install it, or set compile: false"
        ) from error


def _trial(values: torch.Tensor) -> torch.Tensor:
    return values.sin() + 1.0
