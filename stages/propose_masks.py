"""Stage propose_masks: candidate masks of every photo of a split, by one source."""

import sys

from refdiff.checking.start import start_stage
from refdiff.command import run_command
from refdiff.dataset.tables import read_dataset
from refdiff.engine.settings import read_engine
from refdiff.layout import SplitLayout
from refdiff.params import parse_section
from refdiff.progress import showing_progress
from refdiff.proposals.filters import filter_proposals
from refdiff.proposals.propose_split import NamedSource, propose_split
from refdiff.proposals.settings import PHOTO_SOURCES, ProposeMasksSettings
from refdiff.proposals.tables import write_proposals
from refdiff.provenance import describe_run


def main() -> None:
    """Run the stage as its arguments say."""
    arguments, params = start_stage("propose_masks", __doc__, ("splits", "sources"), engine=True)
    settings = parse_section(ProposeMasksSettings, params["propose_masks"], "propose_masks")
    source = NamedSource(arguments.source, PHOTO_SOURCES.read(params, arguments.source), settings.device)
    engine = read_engine(params["engine"], arguments)
    layout = SplitLayout(arguments.split)
    dataset = read_dataset(layout.dataset)
    photos, path = len(dataset.images.image_id), layout.proposals(arguments.source)
    with showing_progress(f"propose_masks {arguments.split} {arguments.source}", "photos") as report:
        made = propose_split(layout, dataset, source, report, engine)
    if made.parts is None:
        print(
            f"{path}: part {arguments.part} is done, {made.computed} photos computed now; {made.missing} of {photos} "
            "photos are missing; when all parts are done, run the stage without --part (`dvc repro`)"
        )
        return
    parts = [filter_proposals(part, settings.filters) for part in made.parts]
    provenance = describe_run(
        "propose_masks",
        {
            "source": source.settings.model_dump(mode="json"),
            "filters": settings.filters.model_dump(mode="json"),
        },
        {name: layout.dataset / f"{name}.parquet" for name in ("images", "targets")},
    )
    total = write_proposals(path, parts, range(photos), None, {**provenance, "made_by": made.made_by})
    made.finish()
    empty = sum(len(part) == 0 for part in parts)
    if 2 * empty > photos:
        unfound = sum(len(part) == 0 for part in made.parts)
        print(
            f"warning: {path}: {empty} of {photos} photos have no mask, so that their sentences get an empty one: "
            f"sources.{arguments.source} found none in {unfound}, and propose_masks.filters left none in "
            f"{empty - unfound}; see to its thresholds, or use another source",
            file=sys.stderr,
        )
    print(f"{path}: {total} masks of {photos} photos, {empty} photos without any; {made.computed} computed now")


if __name__ == "__main__":
    run_command(main)
