"""The files of a Stable Diffusion pipeline: found, read and loaded, safetensors only, nothing downloaded."""

import json
from typing import Any

from refdiff.errors import ModelError
from refdiff.model_identity import ModelIdentity, fetch_command, identify_model
from refdiff.paths import expand

# What a pipeline's repository must hold; the rest (safety checker, other formats) is not needed.
NEEDED_FILES = (
    "model_index.json",
    "*/*config.json",
    "tokenizer/*",
    "text_encoder/model.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
)

TRANSFORMERS_WEIGHTS: dict[str, Any] = {"use_safetensors": True}
# The other value needs the package accelerate.
DIFFUSERS_WEIGHTS: dict[str, Any] = {"low_cpu_mem_usage": False, **TRANSFORMERS_WEIGHTS}


def identify_pipeline(name: str, revision: str | None) -> ModelIdentity:
    """Find a pipeline's folder.

    Raises:
        ModelError: It is not on this machine, or is no diffusers pipeline.
    """
    identity = identify_model(name, revision, NEEDED_FILES)
    if not (identity.folder / "model_index.json").is_file():
        raise ModelError(
            f"model {name}: {identity.folder} has no model_index.json; expected a diffusers pipeline; "
            "choose another model or convert it with diffusers"
        )
    return identity


def read_config(identity: ModelIdentity, file: str) -> dict[str, Any]:
    """A configuration file of the pipeline, such as `unet/config.json`.

    Raises:
        ModelError: It is not there or not JSON.
    """
    path = identity.folder / file
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"model {identity.name}: {path} cannot be read ({error}); fetch the model again") from error


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
    folder = identity.folder / part
    try:
        return kind.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        is_folder = expand(identity.name).is_dir()
        advice = (
            "complete the folder"
            if is_folder
            else f"fetch it again with `{fetch_command(identity.name, revision, NEEDED_FILES)}`"
        )
        raise ModelError(
            f"model {identity.name}: its {part} cannot be loaded ({reason}); "
            f"expected a diffusers pipeline with safetensors weights; {advice}"
        ) from error
