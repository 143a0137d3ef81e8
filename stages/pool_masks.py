"""Stage pool_masks: the candidate masks of a split brought to the attention grids that readouts use."""

import argparse
import shutil

from refdiff.command import run_command
from refdiff.dataset.tables import read_dataset
from refdiff.layout import SplitLayout
from refdiff.params import find, parse_section, read_params
from refdiff.pool_masks import grids_in_use, write_pooled
from refdiff.pooled_store import grid_name
from refdiff.proposals.tables import read_proposals
from refdiff.provenance import describe_run
from refdiff.readout import ReadoutSettings


def main() -> None:
    """Run the stage as its arguments say."""
    parser = argparse.ArgumentParser(prog="python -m stages.pool_masks", description=__doc__)
    parser.add_argument("split", help="a row of `splits` in params.yaml")
    split: str = parser.parse_args().split
    params = read_params()
    find(params, f"splits.{split}")
    sources = [str(name) for table in ("sources", "heat_sources") for name in params.get(table) or {}]
    readouts = [
        parse_section(ReadoutSettings, row, f"readouts.{name}") for name, row in (params.get("readouts") or {}).items()
    ]
    layout = SplitLayout(split)
    dataset = read_dataset(layout.dataset)
    grids = grids_in_use(layout, readouts)
    names = [grid_name(grid.mode, grid.size) for grid in grids]
    masks = 0
    for source in sources:
        proposals = read_proposals(layout.proposals(source))
        path = layout.pooled(source)
        shutil.rmtree(path, ignore_errors=True)
        provenance = describe_run("pool_masks", {"grids": names}, {"proposals": layout.proposals(source)})
        write_pooled(path, dataset, proposals, grids, provenance)
        masks += len(proposals)
    print(f"{layout.pooled('*').parent}: {masks} masks pooled to {', '.join(names) or 'no grid'}")


if __name__ == "__main__":
    run_command(main)
