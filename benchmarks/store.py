"""`python -m benchmarks.store`: reading stored attention against numpy.memmap, and what cutting and compressing cost.

The same head-word maps are read from stores that are cut and compressed in several ways (expressions x tokens of a
chunk, level of zstd or null), and from one uncompressed file by numpy.memmap, item by item and gathered. Everything
lies in the file cache by then, and time is that of the processor, which a busy machine changes least. The shipped way
and one level of zstd are measured on all sentences, the other ways on some.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.extent import MINIATURE, Extent
from benchmarks.synthetic_attention import write_attention
from benchmarks.table import Cost, best_of, print_rows
from refdiff.attention.store import AttentionStore
from refdiff.command import run_command

WAYS = ((1, 1, None), (1, 1, -5), (1, 1, 1), (1, 1, 3), (1, 1, 9), (4, 1, None), (1, 4, None), (16, 16, None))
SOME_SENTENCES = 600
REPEATS = 5
Way = tuple[int, int, int | None]


@dataclass(frozen=True, slots=True)
class Head:
    """Which token of each sentence is read."""

    positions: list[tuple[int]]

    @property
    def rows(self) -> NDArray[np.intp]:
        return np.array([position - 1 for (position,) in self.positions])


def compare_cuts(extent: Extent, folder: Path, ways: Sequence[Way], repeats: int) -> None:
    """Print a row for each way of cutting: chunk_expressions, chunk_tokens, compression level."""
    rng = np.random.default_rng(extent.seed)
    tokens = np.minimum(1 + rng.poisson(3.0, extent.sentences), 22).astype(np.int32)
    heads = Head([(int(rng.integers(1, count + 1)),) for count in tokens])
    rows, flat = [], folder / "flat.npy"
    for number, (expressions, chunk_tokens, level) in enumerate(ways):
        path = folder / f"store{number}.zarr"
        cut = replace(extent, chunk_expressions=expressions, chunk_tokens=chunk_tokens, compression_level=level)
        written = best_of(
            1,
            lambda path=path, cut=cut: write_attention(
                path, np.random.default_rng(0), cut, tokens, heads.rows + 1, np.full((len(tokens), 2), 0.5)
            ),
        )
        store = AttentionStore.open(path)
        if number == 0:
            _write_flat(flat, store)
        single, gathered, read = _read_heads(flat, store, heads, repeats)
        whole = best_of(1, lambda store=store: sum(1 for _ in store.iterate()))
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        rows.append(
            [
                f"{expressions} x {chunk_tokens}, {'null' if level is None else level}",
                f"{size / extent.sentences / 1e3:.0f}",
                f"{read.process_s:.3f}",
                f"{read.process_s / single.process_s:.1f}",
                f"{read.process_s / gathered.process_s:.1f}",
                f"{whole.process_s:.2f}",
                f"{written.process_s:.1f}",
            ]
        )
    maps = 2 * extent.layers * extent.side**2 * 2
    print_rows(
        f"{extent.sentences} head words, {maps * extent.sentences / 1e6:.0f} MB of maps",
        (
            "chunk, zstd level",
            "kB a sentence",
            "CPU s",
            "x one by one",
            "x gathered",
            "all tokens, CPU s",
            "write, CPU s",
        ),
        rows,
    )


def _write_flat(path: Path, store: AttentionStore) -> None:
    """All maps of a store in one uncompressed file, token after token."""
    (size,) = store.keys
    starts = np.cumsum(store.tokens) - store.tokens
    flat = np.lib.format.open_memmap(path, "w+", np.float16, (int(store.tokens.sum()), len(store.keys[size]), *size))
    for index, maps in store.iterate():
        flat[starts[index] : starts[index] + store.tokens[index]] = maps.maps[size]
    flat.flush()


def _read_heads(flat: Path, store: AttentionStore, heads: Head, repeats: int) -> tuple[Cost, Cost, Cost]:
    """Cost of the same maps by memmap, one by one and gathered block by block, and from the store.

    They are read in turn, so that a busy machine slows all.
    """
    rows = np.cumsum(store.tokens) - store.tokens + heads.rows
    step = next(store.blocks(heads.positions)).expressions.stop  # as many at a time as the store gives

    def one_by_one() -> float:
        mapped = np.load(flat, mmap_mode="r")
        return sum(float(np.array(mapped[row])[0, 0, 0]) for row in rows.tolist())

    def gathered() -> float:
        mapped = np.load(flat, mmap_mode="r")
        return sum(mapped[rows[at : at + step]][:, 0, 0, 0].sum(dtype=float) for at in range(0, len(rows), step))

    def from_store() -> float:
        opened = AttentionStore.open(Path(store.where))
        return sum(
            next(iter(block.maps.values()))[:, 0, 0, 0].sum(dtype=float) for block in opened.blocks(heads.positions)
        )

    ways = (one_by_one, gathered, from_store)
    if not np.allclose([way() for way in ways], from_store()):
        raise RuntimeError("the store and the flat file hold different maps")
    costs = [[best_of(1, way) for way in ways] for _ in range(repeats)]
    best = [
        Cost(min(turn[place].process_s for turn in costs), min(turn[place].wall_s for turn in costs))
        for place in range(len(ways))
    ]
    return best[0], best[1], best[2]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--sentences", type=int, default=Extent().sentences)
    parser.add_argument("--smallest", action="store_true", help="a few small maps: a test that it runs")
    arguments = parser.parse_args()
    extent = MINIATURE if arguments.smallest else replace(Extent(), sentences=arguments.sentences)
    shipped: Way = (extent.chunk_expressions, extent.chunk_tokens, extent.compression_level)
    if arguments.smallest:
        runs = [(replace(extent, shard_expressions=16), [shipped, WAYS[-1]])]
    else:
        some = replace(extent, sentences=min(extent.sentences, SOME_SENTENCES))
        runs = [(extent, [shipped, (1, 1, 3)]), (some, WAYS)]
    for size, ways in runs:
        with tempfile.TemporaryDirectory() as folder:
            compare_cuts(size, Path(folder), ways, 1 if arguments.smallest else REPEATS)


if __name__ == "__main__":
    run_command(main)
