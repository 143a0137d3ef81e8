"""Heat of every expression of a split on the attention grid, photo by photo."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from refdiff.attention.store import AttentionStore, TokenBlock
from refdiff.dataset.tables import Dataset
from refdiff.geometry import SquareFrame, square_frame
from refdiff.heat.heat_map import grid_heats
from refdiff.heat.prompt_positions import prompt_positions
from refdiff.heat.readout import ReadoutSettings
from refdiff.progress import Progress
from refdiff.text.tables import TextTable


@dataclass(frozen=True, slots=True)
class SplitHeat:
    """Heat of consecutive expressions of one photo.

    Attributes:
        expressions: Which ones.
        image: Row of their photo.
        frame: Where it lies on the square canvas.
        grids: float64 `[n h w]` (see `heat_map.grid_heats`).
    """

    expressions: range
    image: int
    frame: SquareFrame
    grids: NDArray[np.float64]


def read_split_heat(
    dataset: Dataset, text: TextTable, store: AttentionStore, readout: ReadoutSettings, progress: Progress
) -> Iterator[SplitHeat]:
    """Heat of all expressions, in their order.

    Args:
        dataset: The split.
        text: Its parsed sentences.
        store: The readout's capture.
        readout: How maps become heat.
        progress: Called with the shards.

    Raises:
        ParameterError: The readout does not fit the capture.
        StoreMismatchError: The store does not belong to the tables.
        ShardCorruptError: A shard is damaged.
    """
    for block in progress(store.blocks(prompt_positions(readout, text)), store.shards):
        yield from _read_block(dataset, store, block, readout)


def _read_block(
    dataset: Dataset, store: AttentionStore, block: TokenBlock, readout: ReadoutSettings
) -> Iterator[SplitHeat]:
    images, image_of = dataset.images, dataset.expressions.image_index
    inside = image_of[block.expressions.start : block.expressions.stop]
    cuts = [0, *(np.flatnonzero(np.diff(inside)) + 1).tolist(), len(inside)]
    for first, behind in pairwise(cuts):
        image = int(inside[first])
        frame = square_frame(int(images.height[image]), int(images.width[image]), store.canvas_mode)
        rows = slice(block.starts[first], block.starts[behind])
        maps = {size: each[rows] for size, each in block.maps.items()}
        expressions, starts = block.expressions[first:behind], block.starts[first:behind] - rows.start

        def name(place: int, expressions: range = expressions) -> str:
            return f"{store.where}: {dataset.name_of(expressions[place])}"

        yield SplitHeat(expressions, image, frame, grid_heats(store.keys, maps, starts, readout, frame, name))
