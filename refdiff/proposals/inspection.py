"""Whether a SAM model can work, from its configuration and the headers of its weights alone (no torch here)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refdiff.errors import ModelError
from refdiff.model_identity import fetch_command, find_model
from refdiff.paths import expand
from refdiff.safetensors_header import read_header

NEEDED_FILES = ("config.json", "*preprocessor_config.json", "processor_config.json", "model*.safetensors*")

# transformers' kinds with mask generation (AutoModelForMaskGeneration); video checkpoints hold the image model too.
_KINDS = ("edgetam", "edgetam_video", "sam", "sam2", "sam2_video", "sam3_tracker", "sam3_video", "sam_hq")
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class SamFacts:
    """What is known of a mask generator before it is loaded.

    Attributes:
        name: As params.yaml has it.
        folder: Where it is.
        files: The weights that are read.
        bytes: Their size.
        kind: transformers' name of its class.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    bytes: int
    kind: str


def inspect_sam(model: str, revision: str | None) -> SamFacts:
    """Read a model's configuration and the headers of its weights.

    Args:
        model: A folder, or a hub id (`owner/name`) that was fetched before.
        revision: Branch, tag or commit of a hub id; None for the main branch, and for folders.

    Raises:
        ModelError: It is not on this machine or not whole, or of a kind that generates no masks.
        UnreadableError: A file of it cannot be read now.
    """
    folder = find_model(model, revision, NEEDED_FILES)
    advice = (
        "complete the folder"
        if expand(model).is_dir()
        else f"fetch it again with `{fetch_command(model, revision, NEEDED_FILES)}`"
    )
    kind = _read_json(folder / "config.json", model, advice).get("model_type")
    if kind not in _KINDS:
        raise ModelError(
            f"model {model}: is of kind {kind!r}, which generates no masks; expected one of: {', '.join(_KINDS)}; "
            "name another model"
        )
    if not any(folder.glob("*processor_config.json")):
        raise ModelError(f"model {model}: has no preprocessor_config.json; expected one beside config.json; {advice}")
    files = _find_weights(folder, model, advice)
    for file in files:
        try:
            read_header(file)
        except FileNotFoundError as error:
            raise ModelError(f"model {model}: has no {file.name}; expected weights in safetensors; {advice}") from error
        except ModelError as error:
            raise ModelError(f"model {model}: {error}; {advice}") from error
    return SamFacts(model, folder, files, sum(file.stat().st_size for file in files), kind)


def _find_weights(folder: Path, model: str, advice: str) -> tuple[Path, ...]:
    """One file, or the shards that an index names."""
    index = folder / f"{_WEIGHTS}.index.json"
    if (folder / _WEIGHTS).exists() or not index.exists():
        return (folder / _WEIGHTS,)
    shards = _read_json(index, model, advice).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise ModelError(f"model {model}: {index} has no weight_map; expected names of shards; {advice}")
    return tuple(folder / Path(str(name)).name for name in sorted({*shards.values()}))


def _read_json(path: Path, model: str, advice: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"model {model}: {path} cannot be read ({error}); {advice}") from error
    if not isinstance(content, dict):
        raise ModelError(f"model {model}: {path} holds no object; expected a configuration; {advice}")
    return content
