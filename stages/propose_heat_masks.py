"""Stage propose_heat_masks: candidate masks of every expression of a split, cut from its heat map."""

from refdiff.attention.store import AttentionStore
from refdiff.checking.start import start_stage
from refdiff.command import run_command
from refdiff.dataset.tables import read_dataset
from refdiff.heat.readout import read_readout
from refdiff.layout import SplitLayout
from refdiff.params import parse_section
from refdiff.progress import track
from refdiff.proposals.heat_split import propose_heat_split
from refdiff.proposals.settings import HEAT_SOURCES, ProposeMasksSettings
from refdiff.proposals.tables import write_proposals
from refdiff.provenance import describe_run
from refdiff.text.tables import read_text


def main() -> None:
    """Run the stage as its arguments say."""
    arguments, params = start_stage("propose_heat_masks", __doc__, ("splits", "heat_sources"))
    settings = parse_section(ProposeMasksSettings, params["propose_masks"], "propose_masks")
    source = HEAT_SOURCES.read(params, arguments.heat_source)
    readout = read_readout(params, source.readout)
    layout = SplitLayout(arguments.split)
    dataset = read_dataset(layout.dataset)
    total = len(dataset.expressions.expression_id)
    store = AttentionStore.open(layout.attention(readout.capture), expressions=total)
    parts = list(
        track(
            propose_heat_split(
                dataset,
                read_text(layout.text),
                store,
                readout=readout,
                settings=source,
                workers=settings.workers,
            ),
            f"propose_heat_masks {arguments.split} {arguments.heat_source}",
            total,
            "expressions",
        )
    )
    provenance = describe_run(
        "propose_heat_masks",
        {"heat_source": source.model_dump(mode="json"), "readout": readout.model_dump(mode="json")},
        {
            "expressions": layout.dataset / "expressions.parquet",
            "text": layout.text,
            "attention": layout.attention(readout.capture),
        },
    )
    path = layout.proposals(arguments.heat_source)
    images = dataset.expressions.image_index.tolist()
    masks = write_proposals(path, parts, images, range(total), provenance)
    empty = sum(len(part) == 0 for part in parts)
    print(f"{path}: {masks} masks of {total} expressions, {empty} expressions without any")


if __name__ == "__main__":
    run_command(main)
