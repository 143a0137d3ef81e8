"""Stage pool_masks: what scores want of the masks of a split and no weight changes.

Masks are brought to the attention grids that readouts use; heat that is not linear is summed in every mask.
"""

import shutil

from refdiff.checking.start import start_stage
from refdiff.command import run_command
from refdiff.heat.readout import read_readout
from refdiff.layout import SplitLayout
from refdiff.pooling.split import pool_split
from refdiff.progress import tracker


def main() -> None:
    """Run the stage as its arguments say."""
    arguments, params = start_stage("pool_masks", __doc__, ("splits",))
    sources = [*params["sources"], *params["heat_sources"]]
    readouts = [read_readout(params, name) for name in params["readouts"]]
    layout = SplitLayout(arguments.split)
    for source in sources:
        shutil.rmtree(layout.pooled(source), ignore_errors=True)
    pooled = pool_split(layout, sources, readouts, tracker(f"pool_masks {arguments.split}"))
    names = ", ".join(grid.name for grid in pooled.grids) or "no grid"
    readouts_summed = "1 readout" if len(pooled.summed) == 1 else f"{len(pooled.summed)} readouts"
    print(
        f"{layout.pooled('*').parent}: {pooled.masks} masks pooled to {names}, heat of {readouts_summed} summed in them"
    )


if __name__ == "__main__":
    run_command(main)
