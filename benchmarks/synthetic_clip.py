"""CLIP embeddings of a synthetic split: unit vectors, the meant mask's nearer to its sentence than the others."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.extent import Extent
from refdiff.clip.ramps import occurring_variants
from refdiff.clip.settings import Ramp
from refdiff.clip.store_writer import create_array, describe_store, list_files, write_array, write_rows
from refdiff.clip.view_rows import plan_rows
from refdiff.store.work import ShardRecord
from refdiff.text.parsed import ParsedText

RAMPS: dict[str, tuple[Ramp, ...]] = {"local": ("none", "released"), "global": ("none", "paper")}
ROWS_PER_FILE = 4096


def write_clip(
    path: Path,
    rng: np.random.Generator,
    extent: Extent,
    image_of: NDArray[np.int64],
    meant: NDArray[np.int64],
    rows: Sequence[ParsedText],
) -> None:
    """Write a store.

    Args:
        path: The store.
        rng: Draws the embeddings.
        extent: Photos, proposals and length of an embedding.
        image_of: The photo of each sentence, `[E]`, not falling.
        meant: Which of its proposals the sentence means, `[E]`.
        rows: The sentences, parsed.
    """
    path.mkdir(parents=True)
    words = sorted({row.root.text for row in rows})
    text = _unit(rng.standard_normal((len(rows) + len(words), extent.dim), dtype=np.float32))
    place = {word: len(rows) + index for index, word in enumerate(words)}
    heads = np.array([place[row.root.text] for row in rows], np.int32)
    arrays = {
        "text": text,
        "sentence_row": np.arange(len(rows), dtype=np.int32),
        "root_row": heads,
        "subject_row": heads,
        "proposals": np.full(extent.images, extent.proposals, np.int64),
    }
    bounds = np.searchsorted(image_of, np.arange(extent.images + 1))
    facts = {}
    for view, ramps in RAMPS.items():
        used = [
            occurring_variants(
                ramps, [row.direction for row in rows[a:b]], [row.direction_released for row in rows[a:b]]
            )
            for a, b in pairwise(bounds)
        ]
        plan = plan_rows(used, [extent.proposals] * extent.images)
        arrays[f"{view}_start"] = plan.start
        facts[f"{view}_variants"] = list(plan.variants)
        create_array(path / view, (plan.total, extent.dim), ROWS_PER_FILE, "float32")
        for first in range(0, plan.total, ROWS_PER_FILE):
            count = min(ROWS_PER_FILE, plan.total - first)
            block = rng.standard_normal((count, extent.dim), dtype=np.float32)
            for segment in plan.segments(first, first + count):
                for index in range(bounds[segment.image_index], bounds[segment.image_index + 1]):
                    if meant[index] in segment.proposals:
                        row = segment.row - first + meant[index] - segment.proposals.start
                        block[row] += 3 * text[index]
            write_rows(path / view, first, _unit(block))
    for name, values in arrays.items():
        write_array(path / name, values)
    files = [name for array in [*arrays, *RAMPS] for name in list_files(path, array)]
    content = {name: (path / name).read_bytes() for name in files}
    record = ShardRecord(0, {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in content.items()})
    (path / "zarr.json").write_bytes(describe_store(facts, {0: record}))


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values / np.linalg.norm(values, axis=1, keepdims=True)
