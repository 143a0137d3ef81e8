"""Method rows for tests."""

from typing import Any

from refdiff.fusion.settings import MethodSettings
from refdiff.params import parse_section

ARGMAX = {"rule": "argmax", "threshold": None, "area_power": None}
PAPER: dict[str, Any] = {
    "proposals": "regions",
    "readout": "paper",
    "generative_weight": 0.1,
    "discriminative_weight": 0.9,
    "beta": 0.3,
    "text_local": {"expression": 0.5, "head": 0.5},
    "text_global": {"expression": 0.5, "head": 0.5},
    "head_rule": "root",
    "local_ramp": "none",
    "global_ramp": "paper",
    "keep_largest": None,
    "min_area_px": 0,
    "select": ARGMAX,
}
RELEASED: dict[str, Any] = {
    **PAPER,
    "readout": "released",
    "generative_weight": 0.05,
    "discriminative_weight": 1.0,
    "text_local": {"expression": 1.0, "head": 0.0},
    "head_rule": "root_or_subject",
    "local_ramp": "released",
    "global_ramp": "none",
    "keep_largest": 10,
}


def make_method(row: dict[str, Any], **changes: object) -> MethodSettings:
    """The row with changes, as settings."""
    return parse_section(MethodSettings, {**row, **changes}, "methods.test")
