"""A Stable Diffusion pipeline on this machine: identified, and loaded part by part, safetensors only."""

from typing import Any

from refdiff.diffusion.inspection import inspect_pipeline
from refdiff.diffusion.pipeline_parts import NEEDED_FILES, PipelineFolder
from refdiff.errors import ModelError
from refdiff.model_identity import ModelIdentity, identify_model

TRANSFORMERS_WEIGHTS: dict[str, Any] = {"use_safetensors": True}
# The other value needs the package accelerate.
DIFFUSERS_WEIGHTS: dict[str, Any] = {"low_cpu_mem_usage": False, **TRANSFORMERS_WEIGHTS}


def identify_pipeline(name: str, revision: str | None) -> ModelIdentity:
    """Find a pipeline's folder, and see that it can work.

    Raises:
        ModelError: It is not on this machine, or `inspect_pipeline` refuses it.
    """
    inspect_pipeline(name, revision)
    return identify_model(name, revision, NEEDED_FILES)


def read_config(identity: ModelIdentity, file: str) -> dict[str, Any]:
    """A configuration file of the pipeline, such as `unet/config.json`.

    Raises:
        ModelError: It is not there or not JSON.
    """
    return PipelineFolder(identity.name, None, identity.folder).read_json(file)


def load_part(identity: ModelIdentity, revision: str | None, part: str, kind: Any, options: dict[str, Any]) -> Any:
    """One part of the pipeline.

    Args:
        identity: What `identify_pipeline` found.
        revision: The hub revision, for messages.
        part: Its folder's name.
        kind: Its class.
        options: Of `from_pretrained`.

    Raises:
        ModelError: It is missing or broken.
    """
    folder = PipelineFolder(identity.name, revision, identity.folder)
    try:
        return kind.from_pretrained(folder.path / part, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {identity.name}: its {part} cannot be loaded ({reason}); "
            f"expected a diffusers pipeline with safetensors weights; {folder.advice}"
        ) from error
