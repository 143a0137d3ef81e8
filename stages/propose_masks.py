"""Stage propose_masks: candidate masks of every photo of a split, by one source."""

import argparse

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from refdiff.command import run_command
from refdiff.dataset.tables import read_dataset
from refdiff.layout import SplitLayout
from refdiff.params import find, read_params, read_section
from refdiff.proposals.filters import filter_proposals
from refdiff.proposals.opening import open_split_source
from refdiff.proposals.propose_split import NamedSource, propose_split
from refdiff.proposals.settings import PHOTO_SOURCES, ProposeMasksSettings
from refdiff.proposals.tables import write_proposals
from refdiff.provenance import describe_run


def main() -> None:
    """Run the stage as its arguments say."""
    parser = argparse.ArgumentParser(prog="python -m stages.propose_masks", description=__doc__)
    parser.add_argument("split", help="a row of `splits` in params.yaml")
    parser.add_argument("source", help="a row of `sources` in params.yaml")
    arguments = parser.parse_args()
    find(read_params(), f"splits.{arguments.split}")
    settings = read_section(ProposeMasksSettings, "propose_masks")
    source_settings = PHOTO_SOURCES.read(arguments.source)
    layout = SplitLayout(arguments.split)
    dataset = read_dataset(layout.dataset)
    source = open_split_source(source_settings, settings.device, arguments.split, dataset)
    photos = len(dataset.images.image_id)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("photos"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"propose_masks {arguments.split} {arguments.source}", total=photos)
        made = propose_split(
            layout,
            dataset,
            NamedSource(arguments.source, source_settings, source),
            settings.workers,
            lambda done: progress.update(task, completed=done),
        )
    parts = [filter_proposals(part, settings.filters) for part in made.parts]
    provenance = describe_run(
        "propose_masks",
        {
            "source": source_settings.model_dump(mode="json"),
            "filters": settings.filters.model_dump(mode="json"),
        },
        {name: layout.dataset / f"{name}.parquet" for name in ("images", "targets")},
    )
    path = layout.proposals(arguments.source)
    total = write_proposals(path, parts, range(photos), None, {**provenance, "made_by": source.identity()})
    made.finish()
    empty = sum(len(part) == 0 for part in parts)
    print(f"{path}: {total} masks of {photos} photos, {empty} photos without any; {made.computed} computed now")


if __name__ == "__main__":
    run_command(main)
