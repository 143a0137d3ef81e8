"""Sum the heat of every expression in all masks that it may choose from, for a readout that is not linear.

What is written depends on the heat, the masks and the photos' sizes; on no weight and on no filter of a method.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from refdiff.attention.store import AttentionStore
from refdiff.dataset.tables import Dataset
from refdiff.heat.readout import ReadoutSettings
from refdiff.heat.split_heat import SplitHeat, read_split_heat
from refdiff.heat.sums import HeatSums, mask_rows, sum_heats
from refdiff.masks.runs import MaskRuns, decode_runs
from refdiff.pooling.store import FACTOR, INSIDE, SUM_TYPE, TOTAL, heat_name
from refdiff.pooling.writer import RowWriter
from refdiff.progress import Progress
from refdiff.proposals.tables import ProposalTable
from refdiff.text.tables import TextTable


def write_heat(
    tables: Mapping[Path, ProposalTable],
    dataset: Dataset,
    text: TextTable,
    store: AttentionStore,
    readout: ReadoutSettings,
    progress: Progress,
) -> None:
    """Write the sums of a readout's heat in the masks of every source; the heat is brought to the photos once.

    Args:
        tables: The masks of each source, by the store that their sums are written to.
        dataset: The split.
        text: Its parsed sentences.
        store: The readout's capture.
        readout: How maps become heat.
        progress: Called with the shards of attention.

    Raises:
        ParameterError: The readout does not fit the capture.
        StoreMismatchError: The store does not belong to the tables.
        ShardCorruptError: A shard is damaged.
        MaskError: A mask is not of its photo's size.
    """
    sources = [_Source(path / heat_name(readout), dataset, proposals) for path, proposals in tables.items()]
    for heat in read_split_heat(dataset, text, store, readout, progress):
        stacks = [source.masks_of(heat) for source in sources]
        each_heat = [list(one) for one in zip(*stacks, strict=True)]
        for sums in sum_heats(heat.grids, readout, heat.frame, each_heat):
            for source, found in zip(sources, sums, strict=True):
                source.add(found)
    for source in sources:
        source.close()


class _Source:
    """The masks of one source, and where their sums go."""

    def __init__(self, folder: Path, dataset: Dataset, proposals: ProposalTable) -> None:
        first, count = mask_rows(proposals, dataset.expressions.image_index)
        self._rows = [range(*bounds) for bounds in zip(first.tolist(), (first + count).tolist(), strict=True)]
        self._proposals = proposals
        self._inside = RowWriter(folder / INSIDE, (int(count.sum()),), SUM_TYPE, ("expression_mask",))
        self._total = RowWriter(folder / TOTAL, (len(count),), SUM_TYPE, ("expression",))
        self._factor = RowWriter(folder / FACTOR, (len(count),), SUM_TYPE, ("expression",))

    def masks_of(self, heat: SplitHeat) -> list[MaskRuns]:
        """The masks of each expression; of one photo they are the same, unless they were cut for expressions."""
        if self._proposals.per_expression:
            return [self._decode(self._rows[expression], heat) for expression in heat.expressions]
        return [self._decode(self._rows[heat.expressions.start], heat)] * len(heat.expressions)

    def add(self, sums: HeatSums) -> None:
        """Append the sums of the next expression."""
        self._inside.add(sums.inside)
        self._total.add(np.array([sums.total]))
        self._factor.add(np.array([sums.factor]))

    def close(self) -> None:
        for writer in (self._inside, self._total, self._factor):
            writer.close()

    def _decode(self, rows: range, heat: SplitHeat) -> MaskRuns:
        counts = self._proposals.counts[rows.start : rows.stop]
        return decode_runs(counts, heat.frame.height, heat.frame.width)
