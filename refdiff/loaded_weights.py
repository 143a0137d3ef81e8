"""Networks loaded with exactly the weights of their files: none invented, none left over, all finite."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from refdiff.errors import ModelError
from refdiff.finite import precision_advice
from refdiff.model_files import POSITIONS

# What transformers and diffusers report of loading, in people's words.
_FAULTS = {
    "missing_keys": "are not in its file, and would be random numbers",
    "unexpected_keys": "of its file have no place in it",
    "mismatched_keys": "have another shape in its file",
}
_SHOWN = 3


class Network(Protocol):
    """A module of torch, which is not imported here."""

    def state_dict(self) -> Mapping[str, Any]: ...


def load_network(kind: Any, folder: Path, where: str, advice: str, options: Mapping[str, Any]) -> Any:
    """A network with its weights, which are read from safetensors only; arguments are those of `load_pretrained`.

    Raises:
        ModelError: It cannot be loaded, its weights are not those of its configuration, or one is not finite.
    """
    strict = {"use_safetensors": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
    network, report = load_pretrained(kind, folder, where, advice, {**options, **strict})
    for fault, text in _FAULTS.items():
        # A mismatched one comes with its two shapes.
        keys = [key if isinstance(key, str) else str(key[0]) for key in report.get(fault) or ()]
        keys = sorted(key for key in keys if not key.endswith(POSITIONS))
        if keys:
            shown = f"{', '.join(keys[:_SHOWN])}{' ...' if keys[_SHOWN:] else ''}"
            raise ModelError(
                f"{where}: {len(keys)} weights {text} ({shown}); expected a checkpoint of {type(network).__name__}; "
                "fetch it again or name another model"
            )
    check_weights(network, where)
    return network


def load_pretrained(kind: Any, folder: Path, where: str, advice: str, options: Mapping[str, Any]) -> Any:
    """What `kind.from_pretrained` makes of a folder.

    Args:
        kind: A class of transformers or diffusers.
        folder: The files.
        where: What messages call it.
        advice: What to do where it cannot be loaded.
        options: Of `from_pretrained`.

    Raises:
        ModelError: It cannot be loaded.
    """
    try:
        with loading_quietly():
            return kind.from_pretrained(folder, local_files_only=True, **options)
    except Exception as error:  # libraries raise nearly every builtin kind for a model that does not fit
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{where}: cannot be loaded ({reason}); {advice}") from error


@contextmanager
def loading_quietly() -> Iterator[None]:
    """No request to the hub, and no log lines and bars of a loader: what is wrong is said in one message."""
    import huggingface_hub.constants
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    offline, level = huggingface_hub.constants.HF_HUB_OFFLINE, logging.root.manager.disable
    huggingface_hub.constants.HF_HUB_OFFLINE = True  # huggingface_hub and transformers ask for it at each request
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = offline
        logging.disable(level)


def check_weights(network: Network, where: str) -> None:
    """See that all weights of a network are finite numbers in the precision that they have now.

    Args:
        network: Loaded, and brought to its precision.
        where: The model and its part, for the message.

    Raises:
        ModelError: Some are not; the first of them is named.
    """
    # Both ends of a tensor are NaN where it holds NaN, and are found fifteen times as fast as each value is looked at.
    bad = [
        (name, value)
        for name, value in network.state_dict().items()
        if value.is_floating_point() and value.numel() and not all(end.isfinite() for end in value.aminmax())
    ]
    if bad:
        name, value = bad[0]
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise ModelError(
            f"{where}: its weights hold NaN or infinity ({name}{more}); expected finite numbers; "
            f"{precision_advice(value.dtype)}"
        )
