"""A Stable Diffusion pipeline on this machine: identified, and loaded part by part, safetensors only."""

from typing import Any

from refdiff.diffusion.inspection import inspect_pipeline
from refdiff.diffusion.pipeline_parts import PIPELINE
from refdiff.loaded_weights import load_network, load_pretrained
from refdiff.model_files import ModelFolder
from refdiff.model_identity import ModelIdentity, identify_model


def identify_pipeline(name: str, revision: str | None) -> ModelIdentity:
    """Find a pipeline's folder, and see that it can work.

    Raises:
        ModelError: It is not on this machine, or `inspect_pipeline` refuses it.
    """
    inspect_pipeline(name, revision)
    return identify_model(name, revision, PIPELINE.patterns)


def read_config(identity: ModelIdentity, file: str) -> dict[str, Any]:
    """A configuration file of the pipeline, such as `unet/config.json`.

    Raises:
        ModelError: It is not there or not JSON.
    """
    return ModelFolder(identity.name, None, identity.folder, PIPELINE).read_json(file)


def load_part(
    identity: ModelIdentity, revision: str | None, part: str, kind: Any, options: dict[str, Any] | None = None
) -> Any:
    """One part of the pipeline.

    Args:
        identity: What `identify_pipeline` found.
        revision: The hub revision, for messages.
        part: Its folder's name.
        kind: Its class.
        options: Of `from_pretrained`; None for a part without weights.

    Raises:
        ModelError: It is missing or broken, or its weights are not all there, not its own, or not finite.
    """
    advice = ModelFolder(identity.name, revision, identity.folder, PIPELINE).advice
    advice = f"expected a diffusers pipeline with safetensors weights; {advice}"
    load = load_pretrained if options is None else load_network
    return load(kind, identity.folder / part, f"model {identity.name}: its {part}", advice, options or {})
