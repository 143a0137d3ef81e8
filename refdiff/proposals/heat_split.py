"""Weak proposals of every expression of a split, from stored attention."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from joblib import Parallel, delayed

from refdiff.attention.maps import CrossMaps
from refdiff.attention.store import AttentionStore
from refdiff.dataset.tables import Dataset
from refdiff.errors import StoreMismatchError
from refdiff.geometry import SquareFrame, square_frame
from refdiff.heat.heat_map import heat_map
from refdiff.heat.prompt_positions import prompt_positions
from refdiff.heat.readout import ReadoutSettings
from refdiff.proposals.candidates import Proposals
from refdiff.proposals.settings import ThresholdSettings
from refdiff.proposals.threshold import cut_heat
from refdiff.text.tables import TextTable

BLOCK = 128


def propose_from_heat(
    maps: CrossMaps,
    positions: tuple[int, ...],
    readout: ReadoutSettings,
    frame: SquareFrame,
    settings: ThresholdSettings,
    name: str,
) -> Proposals:
    """Weak proposals of one expression.

    Args:
        maps: Its stored maps.
        positions: Prompt positions that the readout averages.
        readout: How the maps become heat.
        frame: Where the photo lies on the square canvas.
        settings: Where the heat is cut.
        name: What messages call the expression.
    """
    return cut_heat(heat_map(maps, positions, readout, frame, name), settings)


def propose_heat_split(
    dataset: Dataset,
    text: TextTable,
    store: AttentionStore,
    *,
    readout: ReadoutSettings,
    settings: ThresholdSettings,
    workers: int,
) -> Iterator[Proposals]:
    """Weak proposals of each expression, in order; the same for any number of workers.

    The store is read by this process, shard by shard, and only the rows of the positions that are averaged.

    Raises:
        StoreMismatchError: Text table, store and dataset do not belong together.
        ShardCorruptError: A shard is damaged.
    """
    total = len(dataset.expressions.expression_id)
    if len(text) != total:
        raise StoreMismatchError(f"text table: expected {total} rows, got {len(text)}; run `dvc repro`")
    positions = prompt_positions(readout, text)
    frames = [
        square_frame(int(height), int(width), store.canvas_mode)
        for height, width in zip(dataset.images.height, dataset.images.width, strict=True)
    ]
    maps = store.iterate(positions)
    if workers == 1:
        for index, each in maps:
            frame = frames[dataset.expressions.image_index[index]]
            yield propose_from_heat(each, positions[index], readout, frame, settings, dataset.name_of(index))
        return
    # Block by block, so that the store is read here: an error in a pool's own feeding thread would be lost.
    with Parallel(n_jobs=workers) as pool:
        while block := list(islice(maps, BLOCK)):
            made: Any = pool(
                delayed(propose_from_heat)(
                    each,
                    positions[index],
                    readout,
                    frames[dataset.expressions.image_index[index]],
                    settings,
                    dataset.name_of(index),
                )
                for index, each in block
            )
            yield from made
