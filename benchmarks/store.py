"""`python -m benchmarks.store`: reading stored attention against numpy.memmap, and what cutting and compressing cost.

The same head-word maps are read from stores that are cut and compressed in several ways, and from one uncompressed file
by numpy.memmap; everything lies in the system's file cache by then.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.synthetic import MINIATURE, Extent
from benchmarks.synthetic_attention import write_attention
from benchmarks.table import Cost, best_of, print_rows
from refdiff.attention_store import AttentionStore

CUTS = ((1, 1), (4, 1), (1, 4), (16, 16))
LEVELS = (-5, 1, 3, 9)
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Head:
    """Which token of each sentence is read."""

    positions: list[tuple[int]]

    @property
    def rows(self) -> NDArray[np.intp]:
        return np.array([position - 1 for (position,) in self.positions])


def compare_cuts(extent: Extent, folder: Path, ways: Sequence[tuple[int, int, int]], repeats: int) -> None:
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
        mapped, read = _read_heads(flat, store, heads, repeats)
        whole = best_of(1, lambda store=store: sum(1 for _ in store.iterate()))
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        rows.append(
            [
                f"{expressions} x {chunk_tokens}, level {level}",
                f"{size / extent.sentences / 1e3:.0f}",
                f"{read.wall_s:.2f}",
                f"{read.wall_s / mapped.wall_s:.1f}",
                f"{read.process_s / mapped.process_s:.1f}",
                f"{whole.process_s:.2f}",
                f"{written.process_s:.1f}",
            ]
        )
    maps = 2 * extent.layers * extent.side**2 * 2
    print_rows(
        f"{extent.sentences} head words, {maps * extent.sentences / 1e6:.0f} MB of maps",
        (
            "expressions x tokens of a chunk",
            "kB/sentence",
            "read, s",
            "x memmap",
            "x its CPU",
            "all, CPU s",
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


def _read_heads(flat: Path, store: AttentionStore, heads: Head, repeats: int) -> tuple[Cost, Cost]:
    """Cost of the same maps by memmap and from the store, in turn, so that a busy machine slows both."""
    rows = np.cumsum(store.tokens) - store.tokens + heads.rows
    step = 64

    def by_memmap() -> float:
        mapped = np.load(flat, mmap_mode="r")
        return sum(float(mapped[rows[first : first + step]][0, 0, 0, 0]) for first in range(0, len(rows), step))

    def from_store() -> float:
        opened = AttentionStore.open(Path(store.where))
        return sum(float(next(iter(block.maps.values()))[0, 0, 0, 0]) for block in opened.blocks(heads.positions))

    if not np.isclose(by_memmap(), from_store()):
        raise RuntimeError("the store and the flat file hold different maps")
    costs = [(best_of(1, by_memmap), best_of(1, from_store)) for _ in range(repeats)]
    pick = [min(pair[place].wall_s for pair in costs) for place in (0, 1)]
    process = [min(pair[place].process_s for pair in costs) for place in (0, 1)]
    return Cost(process[0], pick[0]), Cost(process[1], pick[1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--sentences", type=int, default=Extent().sentences)
    parser.add_argument("--smallest", action="store_true", help="a few small maps: a test that it runs")
    arguments = parser.parse_args()
    extent = MINIATURE if arguments.smallest else replace(Extent(), sentences=arguments.sentences)
    shipped = (extent.chunk_expressions, extent.chunk_tokens, extent.compression_level)
    ways = [shipped, *((1, 1, level) for level in LEVELS[1:]), *((*cut, 3) for cut in CUTS[1:])]
    if arguments.smallest:
        extent, ways = replace(extent, shard_expressions=16), ways[:1] + ways[-1:]
    with tempfile.TemporaryDirectory() as folder:
        compare_cuts(extent, Path(folder), ways, 1 if arguments.smallest else REPEATS)


if __name__ == "__main__":
    main()
