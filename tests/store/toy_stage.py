"""A stage without a network: the real store, work folder and writer, and values drawn by rule.

`python -m tests.store.toy_stage` reads `toy` in params.yaml of the current folder and publishes
artifacts/toy/attention/paper.zarr. It adds a line to runs.log: how many shards it computed.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.random import default_rng  # early: an unprivileged process may not read the standard library
from numpy.typing import NDArray

from refdiff.attention.maps import CrossMaps, MapKey, SelfMaps
from refdiff.command import run_command
from refdiff.layout import SplitLayout
from refdiff.store.attention_writer import AttentionLayout, AttentionWriter
from refdiff.store.fingerprint import digest_facts
from refdiff.store.work import WorkFolder, translate_write_errors

STAGE = "extract_attention"
SIZES = ((4, 4), (8, 8))
KEYS = {size: (MapKey(0, 0, "down", *size), MapKey(0, 1, "up", *size)) for size in SIZES}
PARAMS: dict[str, Any] = {"seed": 0, "images": 6, "sentences": 3, "shard": 4, "with_self": False, "pause": 0.0}
STORE = SplitLayout("toy").attention("paper")


def make_layout(params: dict[str, Any]) -> AttentionLayout:
    """The store's shape; sentences have one to four tokens."""
    tokens = np.arange(params["images"] * params["sentences"], dtype=np.int32) % 4 + 1
    keys = {(4, 4): (MapKey(0, 2, "self", 4, 4),)} if params["with_self"] else {}
    return AttentionLayout(tokens, params["images"], KEYS, keys, params["shard"], 2, 2, 1)


def draw_maps(params: dict[str, Any], layout: AttentionLayout, expression: int) -> CrossMaps:
    """Values of an expression, by its number, its picture's edition and the seed alone."""
    edition = params.get("editions", {}).get(expression // params["sentences"], 0)
    rng = default_rng([params["seed"], expression, edition])
    shape = (int(layout.tokens[expression]), 2)
    return CrossMaps(KEYS, {size: rng.random((*shape, *size)).astype(np.float32) for size in SIZES})


def draw_self(params: dict[str, Any], image: int) -> SelfMaps:
    rng = default_rng([params["seed"], image])
    values: NDArray[np.float32] = rng.random((1, 16, 16)).astype(np.float32)
    return SelfMaps({(4, 4): (MapKey(0, 2, "self", 4, 4),)}, {(4, 4): values})


def make_store(root: Path, params: dict[str, Any]) -> int:
    """Compute what is missing, publish; returns how many shards were computed."""
    layout = make_layout(params)
    facts = {
        "stage": STAGE,
        "capture": {"canvas_px": 64},
        "parameters": {key: value for key, value in params.items() if key != "pause"},
        "inputs": {"sentences": "of a toy"},
    }
    work = WorkFolder(root, STAGE, "toy-paper", facts)
    with work.hold():
        with translate_write_errors(work.path):
            writer = AttentionWriter(work.content, layout, {**facts, "fingerprint": digest_facts(facts)})
        records = work.finished()
        missing = [shard for shard in range(layout.shards) if shard not in records]
        for shard in missing:
            rows = layout.expressions_of(shard)
            maps = [draw_maps(params, layout, row) for row in rows]
            time.sleep(params["pause"])
            starts = [row // params["sentences"] for row in rows if row % params["sentences"] == 0]
            own = {image: draw_self(params, image) for image in starts} if params["with_self"] else {}
            with translate_write_errors(work.path):
                records[shard] = work.record(shard, writer.write_shard(shard, maps, own))
        ordered = [records[shard] for shard in range(layout.shards)]
        files = [*writer.metadata_files(), *(name for record in ordered for name in record.files)]
        work.publish(root / STORE, files, {"zarr.json": writer.final_metadata(ordered)})
    return len(missing)


def main() -> None:
    params = {**PARAMS, **yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["toy"]}
    computed = make_store(Path(), params)
    with Path("runs.log").open("a", encoding="utf-8") as log:
        log.write(f"{computed}\n")


if __name__ == "__main__":
    sys.exit(run_command(main))
