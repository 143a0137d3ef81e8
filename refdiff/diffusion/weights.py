"""Networks of a pipeline, loaded with exactly the weights that they have: none invented, none left over, all finite."""

from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from refdiff.diffusion.inspection import POSITIONS
from refdiff.diffusion.pipeline_files import load_part
from refdiff.errors import ModelError
from refdiff.model_identity import ModelIdentity

_LIBRARIES: tuple[Any, ...] = (diffusers_logging, transformers_logging)


def load_network(identity: ModelIdentity, revision: str | None, part: str, kind: Any, options: dict[str, Any]) -> Any:
    """A network of the pipeline; arguments are those of `load_part`.

    Raises:
        ModelError: It is missing or broken, its weights are not those of its configuration, or one is not finite.
    """
    strict = {**options, "output_loading_info": True, "ignore_mismatched_sizes": True}
    verbosity = [library.get_verbosity() for library in _LIBRARIES]
    for library in _LIBRARIES:
        library.set_verbosity_error()  # what does not fit is refused below; their reports are pages
    try:
        network, report = load_part(identity, revision, part, kind, strict)
    finally:
        for library, level in zip(_LIBRARIES, verbosity, strict=True):
            library.set_verbosity(level)
    _refuse_unfit(identity, part, report)
    _refuse_not_finite(identity, part, network)
    return network


def precision_advice(dtype: torch.dtype) -> str:
    """What to do about numbers that are not finite."""
    if dtype == torch.float16:
        return "the model overflows in float16, or its file is broken; use dtype bfloat16 or float32"
    return f"in {str(dtype).removeprefix('torch.')} the model itself is broken; fetch it again or choose another"


def _refuse_unfit(identity: ModelIdentity, part: str, report: dict[str, Any]) -> None:
    names = {
        "not in its file": sorted(report["missing_keys"]),
        "of other shapes": sorted(key if isinstance(key, str) else key[0] for key in report["mismatched_keys"]),
        "left over in its file": sorted(key for key in report["unexpected_keys"] if not key.endswith(POSITIONS)),
    }
    faults = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{' ...' if keys[3:] else ''})"
        for what, keys in names.items()
        if keys
    ]
    if faults:
        raise ModelError(
            f"model {identity.name}: its {part} does not fit its weights: {', '.join(faults)}; expected those of "
            f"{part}/config.json; get a whole model, or choose another"
        )


def _refuse_not_finite(identity: ModelIdentity, part: str, network: Any) -> None:
    for name, values in network.state_dict().items():
        # The least and the greatest are not finite where any value is not, and take no memory to find.
        if values.is_floating_point() and not all(bool(torch.isfinite(end)) for end in torch.aminmax(values)):
            raise ModelError(
                f"model {identity.name}: its {part} has NaN or infinity in {name}; {precision_advice(values.dtype)}"
            )
