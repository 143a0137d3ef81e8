"""The shipped parameters with something changed."""

import copy
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refdiff.demo.models import CLIP, DIFFUSION
from refdiff.params import find, read_params

ROOT = Path(__file__).parents[2]


@functools.cache
def shipped() -> dict[str, Any]:
    """As they are, with the demo's models by their whole paths."""
    params = read_params(ROOT / "refdiff/presets/demo.yaml")
    params["extract_attention"]["model"], params["embed_clip"]["model"] = str(DIFFUSION), f"local-dir:{CLIP}"
    return params


def changed(changes: Mapping[str, object]) -> dict[str, Any]:
    """A copy with values at dotted names."""
    params = copy.deepcopy(shipped())
    for name, value in changes.items():
        *where, key = name.split(".")
        node: Any = find(params, ".".join(where)) if where else params
        node[key] = value
    return params
