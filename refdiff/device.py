"""Where networks run, and in which precision."""

from typing import TYPE_CHECKING

from refdiff.errors import ModelError, ParameterError

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


def check_precision(device: "torch.device", dtype: str, where: str) -> None:
    """See that a network can run in a precision on a device.

    Args:
        device: What `choose_device` gave.
        dtype: `float32`, `float16` or `bfloat16`.
        where: The parameter that has it, for the message.

    Raises:
        ParameterError: It is float16 on a CPU, which computes it many times slower than either other one.
    """
    if device.type == "cpu" and dtype == "float16":
        raise ParameterError(
            f"{where}: a CPU takes hours for float16; expected bfloat16 or float32 on a CPU, got float16; "
            "set one of them, or a device that is an accelerator"
        )


def describe_device(device: "torch.device", dtype: str) -> str:
    """Where a network runs, for a line at the start of a stage: `cpu (2 threads), float32`."""
    import torch

    # An accelerator is not asked for its name: that would open it in processes that only send work to others.
    threads = f" ({torch.get_num_threads()} threads)" if device.type == "cpu" else ""
    return f"{device}{threads}, {dtype}"
