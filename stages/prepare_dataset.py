"""Stage prepare_dataset: a dataset split as tables of photos, expressions and true masks, with every fault named."""

import sys

from refdiff.checking.start import start_stage
from refdiff.command import run_command
from refdiff.dataset.prepare import prepare_dataset
from refdiff.dataset.settings import PrepareDatasetSettings, SplitRow
from refdiff.dataset.tables import META_FILE, write_dataset
from refdiff.layout import SplitLayout
from refdiff.params import parse_section


def main() -> None:
    arguments, params = start_stage("prepare_dataset", __doc__, ("splits",))
    split: str = arguments.split
    row = parse_section(SplitRow, params["splits"][split], f"splits.{split}")
    settings = parse_section(PrepareDatasetSettings, params["prepare_dataset"], "prepare_dataset")
    dataset = prepare_dataset(split, row, settings)
    folder = SplitLayout(split).dataset
    write_dataset(folder, dataset)
    for kind, lines in dataset.meta["remarks"].items():
        more = f" (the first of {len(lines)}, all of them in {folder / META_FILE})" if len(lines) > 1 else ""
        print(f"{split}: {kind}: {lines[0]}{more}", file=sys.stderr)
    counts, dropped = dataset.meta["counts"], dataset.meta["dropped_counts"]
    made = f"{counts['images']} photos, {counts['targets']} true masks, {counts['expressions']} expressions"
    if dropped["faults"]:
        made += f"; {dropped['expressions']} expressions dropped for {dropped['faults']} faults"
    print(f"{split}: {made} -> {folder}")


if __name__ == "__main__":
    run_command(main)
