"""A whole params.yaml around the sections that a test is about: stages check all of them."""

from pathlib import Path
from typing import Any

from refdiff.demo.models import CLIP, DIFFUSION
from refdiff.params import read_params

SHIPPED = Path(__file__).parents[1] / "refdiff/presets/demo.yaml"
SPLIT = {"format": "jsonl", "folder": "data", "images": "data", "split_by": None, "split": "val", "benchmark": None}
TABLES = ("splits", "captures", "readouts", "sources", "heat_sources", "methods")


def whole_params(part: dict[str, Any]) -> dict[str, Any]:
    """The shipped sections, and over them those of `part`; a table that is not in `part` has rows that fit its others.

    Args:
        part: Tables as a whole, and of other sections the values that differ; an empty row of a split is any split.
    """
    shipped = read_params(SHIPPED)
    shipped["extract_attention"]["model"], shipped["embed_clip"]["model"] = str(DIFFUSION), f"local-dir:{CLIP}"
    whole = {
        name: part.get(name, content) if name in TABLES else {**content, **part.get(name, {})}
        for name, content in shipped.items()
    }
    whole["splits"] = {name: row or SPLIT for name, row in whole["splits"].items()}
    if "captures" not in part:
        paper = shipped["captures"]["paper"]
        whole["captures"] = {row["capture"]: paper for row in whole["readouts"].values()}
    if "readouts" not in part:
        whole["readouts"] = {
            name: shipped["readouts"]["paper"] | {"capture": name, "layers": "all"} for name in whole["captures"]
        }
    readout = next(iter(whole["readouts"]))
    if "heat_sources" not in part:
        whole["heat_sources"] = {"weak": shipped["heat_sources"]["weak"] | {"readout": readout}}
    if "methods" not in part:
        masks = next(iter([*whole["sources"], *whole["heat_sources"]]))
        whole["methods"] = {"any": shipped["methods"]["gs"] | {"proposals": masks, "readout": readout}}
    return whole
