"""What a mask generator is, from its configuration and the headers of its weights alone, without torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refdiff.errors import ModelError, translate_read_errors
from refdiff.model_identity import fetch_command, find_model
from refdiff.paths import expand
from refdiff.safetensors_header import read_header

NEEDED_FILES = ("config.json", "*processor_config.json", "model.safetensors*", "model-*-of-*.safetensors")

# What transformers generates masks with, by `model_type` of config.json; the test compares them.
FAMILY = frozenset({"edgetam", "edgetam_video", "sam", "sam2", "sam2_video", "sam3_tracker", "sam3_video", "sam_hq"})

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True, slots=True)
class SamFacts:
    """A mask generator that is on this machine.

    Attributes:
        folder: Where it is.
        files: Its weights.
        bytes: Of these files.
        model_type: Which of the family it is.
    """

    folder: Path
    files: tuple[Path, ...]
    bytes: int
    model_type: str


def inspect_sam(model: str, revision: str | None) -> SamFacts:
    """Find a mask generator and see that it can work.

    Args:
        model: A folder, or a hub id.
        revision: Of a hub id.

    Raises:
        ModelError: It is not here, or can never propose masks; the message says what to do.
    """
    folder, where = find_model(model, revision, NEEDED_FILES), f"model {model}"
    advice = "complete the folder" if expand(model).is_dir() else _fetch(model, revision)
    model_type = _read(folder / "config.json", where, advice).get("model_type")
    if model_type not in FAMILY:
        raise ModelError(
            f"{where}: config.json has model_type {model_type!r}; expected one that generates masks: "
            f"{', '.join(sorted(FAMILY))}; name another model, such as facebook/sam-vit-huge"
        )
    processors = [name for name in _PROCESSORS if (folder / name).is_file()]
    if not processors:
        raise ModelError(f"{where}: has no preprocessor_config.json; expected one beside config.json; {advice}")
    _read(folder / processors[0], where, advice)
    files = _list_weights(folder, where, advice)
    for file in files:
        read_header(file)
    return SamFacts(folder, files, sum(file.stat().st_size for file in files), str(model_type))


def _fetch(model: str, revision: str | None) -> str:
    return f"fetch it with `{fetch_command(model, revision, NEEDED_FILES)}`"


def _read(path: Path, where: str, advice: str) -> Mapping[str, Any]:
    """A file of configuration."""
    try:
        with translate_read_errors(path):
            content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{where}: has no {path.name}; {advice}") from error
    except ValueError as error:
        raise ModelError(f"{where}: {path.name} is no JSON ({error}); {advice}") from error
    if not isinstance(content, Mapping):
        raise ModelError(f"{where}: {path.name} is no JSON mapping; {advice}")
    return content


def _list_weights(folder: Path, where: str, advice: str) -> tuple[Path, ...]:
    """The one file of weights, or the shards that an index names.

    Raises:
        ModelError: There are none, or only such as are not read; or a shard is missing.
    """
    if (folder / _WEIGHTS).is_file():
        return (folder / _WEIGHTS,)
    if (folder / _INDEX).is_file():
        places = _read(folder / _INDEX, where, advice).get("weight_map")
        names = sorted({str(name) for name in places.values()}) if isinstance(places, Mapping) else []
        missing = [name for name in names if not (folder / name).is_file()]
        if not names or missing:
            there = (
                f"{len(missing)} of {len(names)} shards are missing ({', '.join(missing[:3])})" if names else "empty"
            )
            raise ModelError(f"{where}: {_INDEX}: {there}; {advice}")
        return tuple(folder / name for name in names)
    others = sorted(
        file.name
        for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.*.safetensors")
        for file in folder.glob(pattern)
    )
    if others:
        raise ModelError(
            f"{where}: has no {_WEIGHTS}; expected it, got {', '.join(others[:3])}; load it with transformers in "
            "Python (a variant with variant='fp16') and save it with save_pretrained, or name a model that has it"
        )
    raise ModelError(f"{where}: has no {_WEIGHTS}; {advice}")
