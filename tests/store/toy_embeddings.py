"""A small store of embeddings, written by the real writer, with values drawn by rule."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff.clip.store import METADATA
from refdiff.clip.store_writer import create_array, describe_store, list_files, write_array, write_rows
from refdiff.clip.view_rows import plan_rows
from refdiff.layout import SplitLayout
from refdiff.store.work import WorkFolder

DIM = 8
ROWS_PER_FILE = 4
COUNTS = [2, 3, 0]


def make_embeddings(root: Path) -> Path:
    """Write and publish it; returns its path."""
    rng = np.random.default_rng(0)
    rows = plan_rows([["none"], ["left", "none"], ["none"]], COUNTS)
    work = WorkFolder(root, "embed_clip", "toy-boxes", {"stage": "embed_clip", "inputs": {}})
    with work.hold():
        content = work.content
        small: dict[str, NDArray[Any]] = {
            "text": rng.random((5, DIM)).astype(np.float32),
            **{name: np.arange(4, dtype=np.int32) for name in ("sentence_row", "root_row", "subject_row")},
            "proposals": rows.counts,
            "local_start": rows.start,
            "global_start": rows.start,
        }
        for name, values in small.items():
            write_array(content / name, values)
        for view in ("local", "global"):
            create_array(content / view, (rows.total, DIM), ROWS_PER_FILE, "float32")
            write_rows(content / view, 0, rng.random((rows.total, DIM)).astype(np.float32))
        names = [name for array in (*small, "local", "global") for name in list_files(content, array)]
        records = {0: work.record(0, names)}
        variants = {f"{view}_variants": list(rows.variants) for view in ("local", "global")}
        target = SplitLayout("toy", root).clip("boxes")
        work.publish(target, names, {METADATA: describe_store({**work.facts, **variants}, records)})
    return target
