"""Where networks run."""

from typing import TYPE_CHECKING

from refdiff.errors import ModelError

if TYPE_CHECKING:
    import torch


def choose_device(device: str) -> "torch.device":
    """The device that a parameter names; `auto` is CUDA where there is any.

    Raises:
        ModelError: There is no such device here.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ModelError(f"device {device}: not there, {torch.cuda.device_count()} CUDA devices found; use auto or cpu")
    return chosen
