"""Stage extract_attention: what the U-Net attends to for every sentence of a split, stored for reading many times."""

import argparse

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from refdiff.command import run_command
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.layout import SplitLayout
from refdiff.params import find, read_params, read_section


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.extract_attention", description=__doc__)
    parser.add_argument("split", help="a row of `splits` in params.yaml")
    parser.add_argument("capture", help="a row of `captures` in params.yaml")
    arguments = parser.parse_args()
    find(read_params(), f"splits.{arguments.split}")
    capture = read_section(CaptureSettings, f"captures.{arguments.capture}")
    settings = read_section(ExtractAttentionSettings, "extract_attention")

    # After the parameters are known to be good: torch takes seconds to import.
    from refdiff.diffusion.extraction import extract_split

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("sentences"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"extract_attention {arguments.split} {arguments.capture}", total=None)
        made = extract_split(
            SplitLayout(arguments.split),
            arguments.capture,
            capture,
            settings,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    print(
        f"{made.path}: {made.maps} maps of every token of {made.expressions} expressions, {made.images} photos; "
        f"{made.bytes / 1e6:.1f} MB in {made.shards} shards, {made.computed} of them computed now"
    )


if __name__ == "__main__":
    run_command(main)
