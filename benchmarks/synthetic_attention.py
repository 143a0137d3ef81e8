"""Attention of a synthetic split: smooth maps with noise, the head word's with a bright place where its object is."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.extent import Extent
from refdiff.attention.maps import CrossMaps, MapKey
from refdiff.store.attention_writer import AttentionLayout, AttentionWriter
from refdiff.store.work import ShardRecord

STEPS = 2


def write_attention(
    path: Path,
    rng: np.random.Generator,
    extent: Extent,
    tokens: NDArray[np.int32],
    heads: NDArray[np.int64],
    centres: NDArray[np.float64],
) -> None:
    """Write a store.

    Args:
        path: The store.
        rng: Draws the noise.
        extent: Size of the maps, and how the store is cut.
        tokens: Of each sentence, `[E]`.
        heads: Prompt position of the head word, `[E]`.
        centres: Row and column where the object is, as shares of the canvas, `[E 2]`.
    """
    size = (extent.side, extent.side)
    keys = {
        size: tuple(
            MapKey(step, layer, f"block{layer}.attn2", *size) for step in range(STEPS) for layer in range(extent.layers)
        )
    }
    layout = AttentionLayout(
        tokens,
        extent.images,
        keys,
        {},
        extent.shard_expressions,
        extent.chunk_expressions,
        extent.chunk_tokens,
        extent.compression_level,
    )
    path.mkdir(parents=True)
    writer = AttentionWriter(path, layout, {"stage": "synthetic", "capture": {"canvas_mode": "letterbox"}})
    records = []
    for shard in range(layout.shards):
        maps = []
        for row in layout.expressions_of(shard):
            spots = rng.uniform(0.1, 0.9, (tokens[row], 2))
            spots[heads[row] - 1] = centres[row]
            maps.append(CrossMaps(keys, {size: _draw(rng, spots, STEPS * extent.layers, extent.side)}))
        files = writer.write_shard(shard, maps, {})
        records.append(_record(path, shard, files))
    (path / "zarr.json").write_bytes(writer.final_metadata(records))


def _draw(rng: np.random.Generator, spots: NDArray[np.float64], maps: int, side: int) -> NDArray[np.float32]:
    """Maps `[token map side side]` in [0, 1], brightest near each token's spot."""
    cells = (np.arange(side, dtype=np.float32) + 0.5) / side
    width = rng.uniform(0.08, 0.3, (len(spots), 1)).astype(np.float32)
    down = np.exp(-(((cells - spots[:, :1].astype(np.float32)) / width) ** 2))
    across = np.exp(-(((cells - spots[:, 1:].astype(np.float32)) / width) ** 2))
    smooth = 0.03 + 0.4 * down[:, None, :, None] * across[:, None, None, :]
    strength = rng.uniform(0.5, 1.5, (len(spots), maps, 1, 1)).astype(np.float32)
    noise = rng.standard_normal((len(spots), maps, side, side), dtype=np.float32)
    return (smooth * strength * np.exp(0.2 * noise)).astype(np.float32, copy=False)


def _record(folder: Path, index: int, files: list[str]) -> ShardRecord:
    content: Mapping[str, bytes] = {name: (folder / name).read_bytes() for name in files}
    return ShardRecord(index, {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in content.items()})
