"""What scores want of a split's masks and no weight changes, for all sources at once.

Readouts whose heat is linear are scored on pooled masks (`pooling.masks`), the others by sums of their heat
(`pooling.heat`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from refdiff.attention.store import AttentionStore
from refdiff.dataset.tables import Dataset, read_dataset
from refdiff.heat.heat_map import is_linear
from refdiff.heat.readout import ReadoutSettings
from refdiff.layout import SplitLayout
from refdiff.pooling.heat import write_heat
from refdiff.pooling.masks import Grid, grids_in_use, write_grids
from refdiff.pooling.store import heat_inputs, heat_name
from refdiff.pooling.writer import seal_store
from refdiff.progress import Progress
from refdiff.proposals.tables import ProposalTable, read_proposals
from refdiff.provenance import describe_run
from refdiff.text.tables import read_text


@dataclass(frozen=True, slots=True)
class PooledSplit:
    """What was written.

    Attributes:
        masks: Masks of all sources.
        grids: What they were pooled to.
        summed: Readouts whose heat was summed in them.
    """

    masks: int
    grids: Sequence[Grid]
    summed: Sequence[ReadoutSettings]


def pool_split(
    layout: SplitLayout, sources: Sequence[str], readouts: Sequence[ReadoutSettings], progress: Progress
) -> PooledSplit:
    """Write `pooled/<source>.zarr` of every source; none of them is there yet.

    Args:
        layout: Where the split's artifacts lie.
        sources: Names of sources and heat sources.
        readouts: All that a method may name.
        progress: Called with steps and their number, once for each source and for each readout that is not linear.

    Raises:
        ArtifactMissingError: Something is not there.
        ParameterError: A readout does not fit its capture.
        StoreMismatchError: The tables and stores do not belong to each other.
        MaskError: A mask is not of its photo's size.
    """
    dataset, grids = read_dataset(layout.dataset), grids_in_use(layout, readouts)
    summed = [each for place, each in enumerate(readouts) if not is_linear(each) and each not in readouts[:place]]
    tables = {layout.pooled(name): read_proposals(layout.proposals(name)) for name in sources}
    for path, proposals in tables.items():
        path.mkdir(parents=True)
        write_grids(path, dataset, proposals, grids, progress)
    _sum_heat(layout, dataset, summed, tables, progress)
    parameters = {
        "grids": [grid.name for grid in grids],
        "heat": {heat_name(readout): readout.model_dump(mode="json") for readout in summed},
    }
    for name in sources:
        inputs = {"proposals": layout.proposals(name)}
        for readout in summed:
            inputs |= heat_inputs(layout, name, readout)
        seal_store(layout.pooled(name), describe_run("pool_masks", parameters, inputs))
    return PooledSplit(sum(map(len, tables.values())), grids, summed)


def _sum_heat(
    layout: SplitLayout,
    dataset: Dataset,
    readouts: Sequence[ReadoutSettings],
    tables: Mapping[Path, ProposalTable],
    progress: Progress,
) -> None:
    if not readouts or not tables:
        return
    text = read_text(layout.text)
    for readout in readouts:
        path = layout.attention(readout.capture)
        store = AttentionStore.open(path, expressions=len(dataset.expressions.expression_id))
        write_heat(tables, dataset, text, store, readout, progress)
