"""open_clip's own lists of models and of their weights, read without importing it: it imports torch, for seconds."""

import json
import sys
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from refdiff.errors import ModelError

_ALONE = "refdiff_open_clip_alone"
_TABLE = "open_clip.pretrained"


def list_models() -> list[str]:
    """Names of the models whose configurations open_clip ships."""
    return sorted(file.stem for file in (_folder() / "model_configs").glob("*.json"))


def read_model(name: str) -> dict[str, Any] | None:
    """A model's configuration; None where open_clip has no such model."""
    if name not in list_models():
        return None
    return json.loads((_folder() / "model_configs" / f"{name}.json").read_text(encoding="utf-8"))


def list_tags(model: str) -> list[str]:
    """Tags of the weights that open_clip knows of a model."""
    return _import_table().list_pretrained_tags_by_model(model)


def find_tag(model: str, tag: str) -> dict[str, Any]:
    """What open_clip knows of weights: `hf_hub`, `url`, `quick_gelu` ...; empty where there is no such tag."""
    return _import_table().get_pretrained_cfg(model, tag)


@cache
def _folder() -> Path:
    spec = find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise ModelError("open_clip: is not installed; expected package open_clip_torch; run `pip install -e .`")
    return Path(spec.submodule_search_locations[0])


@cache
def _import_table() -> Any:
    """The module with the table of weights; in a package of another name where open_clip is not imported yet."""
    if _TABLE in sys.modules:
        return sys.modules[_TABLE]
    spec = spec_from_file_location(f"{_ALONE}.pretrained", _folder() / "pretrained.py")
    if spec is None or spec.loader is None:
        raise ModelError(f"{_folder()}: has no table of weights; expected open_clip_torch; install it again")
    package, table = ModuleType(_ALONE), module_from_spec(spec)
    package.__path__ = [str(_folder())]
    sys.modules[_ALONE] = package  # the module's own relative imports are looked for in it
    # The module asks whether there is safetensors for torch, does without, and that would import torch.
    blocked = "safetensors.torch" not in sys.modules
    if blocked:
        sys.modules["safetensors.torch"] = None  # pyright: ignore[reportArgumentType] so Python says "not there"
    try:
        spec.loader.exec_module(table)
    finally:
        if blocked:
            del sys.modules["safetensors.torch"]
    return table
