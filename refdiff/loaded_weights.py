"""Whether a network has the weights of its file, all of them, and finite ones."""

from collections.abc import Mapping
from typing import Any

from refdiff.errors import ModelError
from refdiff.finite import check_weights

# What transformers and diffusers report of loading, in people's words.
_FAULTS = {
    "missing_keys": "are not in its file, and would be random numbers",
    "unexpected_keys": "of its file have no place in it",
    "mismatched_keys": "have another shape in its file",
}
_SHOWN = 3


def check_loaded(network: Any, report: Mapping[str, Any], where: str) -> None:
    """See that every weight came from the file, that none was left over, and that all are finite.

    Args:
        network: A module of torch.
        report: What `from_pretrained(output_loading_info=True)` gives beside it.
        where: What messages call the model.

    Raises:
        ModelError: The weights are others, or hold NaN or infinity.
    """
    for kind, fault in _FAULTS.items():
        # A mismatched one comes with its two shapes.
        names = sorted(key if isinstance(key, str) else str(key[0]) for key in report.get(kind) or ())
        if names:
            raise ModelError(
                f"{where}: {len(names)} weights {fault} ({_list(names)}); expected a checkpoint of "
                f"{type(network).__name__}; fetch it again or name another model"
            )
    check_weights(network, where)


def _list(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
