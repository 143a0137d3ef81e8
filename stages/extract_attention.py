"""Stage extract_attention: what the U-Net attends to for every sentence of a split, stored for reading many times."""

from refdiff.checking.start import start_stage
from refdiff.command import run_command
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.engine.settings import read_engine
from refdiff.layout import SplitLayout
from refdiff.params import find, parse_section
from refdiff.progress import showing_progress


def main() -> None:
    arguments, params = start_stage("extract_attention", __doc__, ("splits", "captures"), engine=True)
    capture = parse_section(CaptureSettings, find(params, where := f"captures.{arguments.capture}"), where)
    settings = parse_section(ExtractAttentionSettings, params["extract_attention"], "extract_attention")
    engine = read_engine(params["engine"], arguments)

    # After the parameters are known to be good: torch takes seconds to import.
    from refdiff.diffusion.extraction import extract_split

    with showing_progress(f"extract_attention {arguments.split} {arguments.capture}", "sentences") as report:
        made = extract_split(SplitLayout(arguments.split), arguments.capture, capture, settings, report, engine)
    if not engine.is_whole:
        print(
            f"{made.path}: part {arguments.part} is done, {made.computed} shards computed now; {made.missing} of "
            f"{made.shards} shards are missing; when all parts are done, run the stage without --part (`dvc repro`), "
            "which compares those of the other parts"
        )
        return
    print(
        f"{made.path}: {made.maps} maps of every token of {made.expressions} expressions, {made.images} photos; "
        f"{made.bytes / 1e6:.1f} MB in {made.shards} shards, {made.computed} of them computed now"
    )


if __name__ == "__main__":
    run_command(main)
