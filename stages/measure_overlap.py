"""Stage measure_overlap: intersection and union of every candidate mask of a split with the true masks."""

from refdiff.checking.start import start_stage
from refdiff.command import run_command
from refdiff.dataset.tables import read_dataset
from refdiff.layout import SplitLayout
from refdiff.masks.overlap import join_tables, measure_overlap, write_overlap
from refdiff.progress import track
from refdiff.proposals.tables import read_proposals
from refdiff.provenance import describe_run


def main() -> None:
    """Run the stage as its arguments say."""
    arguments, params = start_stage("measure_overlap", __doc__, ("splits",))
    split: str = arguments.split
    sources = [*params["sources"], *params["heat_sources"]]
    layout = SplitLayout(split)
    dataset = read_dataset(layout.dataset)
    pairs = 0
    for source in sources:
        provenance = describe_run(
            "measure_overlap",
            {},
            {"targets": layout.dataset / "targets.parquet", "proposals": layout.proposals(source)},
        )
        photos = measure_overlap(dataset, read_proposals(layout.proposals(source)))
        title, total = f"measure_overlap {split} {source}", len(dataset.images.image_id)
        table = join_tables(track(photos, title, total, "photos"))
        write_overlap(layout.overlap(source), table, provenance)
        pairs += len(table)
    print(f"{layout.overlap('*').parent}: {pairs} pairs of {len(sources)} sources ({', '.join(sources)})")


if __name__ == "__main__":
    run_command(main)
