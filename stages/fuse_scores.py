"""Stage fuse_scores: one chosen mask for every expression of a split, by one method."""

import argparse
from collections.abc import Iterable
from typing import Any

from refdiff.command import run_command
from refdiff.fusion.inputs import open_inputs
from refdiff.fusion.predictions import write_predictions
from refdiff.fusion.run import fuse_split
from refdiff.fusion.settings import FuseScoresSettings, MethodSettings, check_source
from refdiff.heat.readout import read_readout
from refdiff.layout import SplitLayout
from refdiff.params import find, parse_section, read_params
from refdiff.progress import track
from refdiff.provenance import describe_run


def main() -> None:
    """Run the stage as its arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", help="a name of params.yaml's splits")
    parser.add_argument("method", help="a name of params.yaml's methods")
    arguments = parser.parse_args()
    params = read_params()
    find(params, f"splits.{arguments.split}")
    method = parse_section(MethodSettings, find(params, where := f"methods.{arguments.method}"), where)
    settings = parse_section(FuseScoresSettings, find(params, "fuse_scores"), "fuse_scores")
    readout = None
    if method.readout is not None:
        readout = read_readout(params, method.readout)
    check_source(arguments.method, method, _names(params, "sources"), _names(params, "heat_sources"))
    layout = SplitLayout(arguments.split)
    inputs = open_inputs(layout, method, readout, settings)
    parameters = {
        "method": method.model_dump(mode="json"),
        "readout": readout.model_dump(mode="json") if readout else None,
        "fuse_scores": settings.model_dump(mode="json"),
    }
    provenance = describe_run("fuse_scores", parameters, inputs.files)
    table = fuse_split(inputs, method, readout, _show_progress)
    path = layout.predictions(arguments.method)
    write_predictions(path, table, provenance)
    chosen = int((table.proposal_index >= 0).sum())
    print(f"{path}: {chosen} masks chosen for {len(table)} expressions")


def _names(params: dict[str, Any], table: str) -> list[str]:
    rows = find(params, table)
    return [str(name) for name in rows] if isinstance(rows, dict) else []


def _show_progress(steps: Iterable[Any], total: int) -> Iterable[Any]:
    return track(steps, "fuse_scores", total)


if __name__ == "__main__":
    run_command(main)
