"""Stage fuse_scores: one chosen mask for every expression of a split, by one method."""

from refdiff.checking.start import start_stage
from refdiff.command import run_command
from refdiff.fusion.inputs import open_inputs
from refdiff.fusion.predictions import write_predictions
from refdiff.fusion.run import fuse_split
from refdiff.fusion.settings import FuseScoresSettings, MethodSettings
from refdiff.heat.readout import read_readout
from refdiff.layout import SplitLayout
from refdiff.params import find, parse_section
from refdiff.progress import tracker
from refdiff.provenance import describe_run


def main() -> None:
    """Run the stage as its arguments say."""
    arguments, params = start_stage("fuse_scores", __doc__, ("splits", "methods"))
    method = parse_section(MethodSettings, find(params, where := f"methods.{arguments.method}"), where)
    settings = parse_section(FuseScoresSettings, params["fuse_scores"], "fuse_scores")
    readout = None if method.readout is None else read_readout(params, method.readout)
    layout = SplitLayout(arguments.split)
    inputs = open_inputs(layout, method, readout, settings)
    parameters = {
        "method": method.model_dump(mode="json"),
        "readout": readout.model_dump(mode="json") if readout else None,
        "fuse_scores": settings.model_dump(mode="json"),
    }
    provenance = describe_run("fuse_scores", parameters, inputs.files)
    progress = tracker(f"fuse_scores {arguments.split} {arguments.method}")
    table = fuse_split(inputs, method, readout, progress)
    path = layout.predictions(arguments.method)
    write_predictions(path, table, provenance)
    chosen = int((table.proposal_index >= 0).sum())
    print(f"{path}: {chosen} masks chosen for {len(table)} expressions")


if __name__ == "__main__":
    run_command(main)
