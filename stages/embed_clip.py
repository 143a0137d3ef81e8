"""Stage embed_clip: CLIP embeddings of a split's sentences and of every candidate mask of a source."""

from refdiff.checking.start import start_stage
from refdiff.clip.settings import ClipSettings
from refdiff.command import run_command
from refdiff.engine.settings import read_engine
from refdiff.layout import SplitLayout
from refdiff.params import parse_section
from refdiff.progress import showing_progress


def main() -> None:
    arguments, params = start_stage("embed_clip", __doc__, ("splits", "sources"), engine=True)
    settings = parse_section(ClipSettings, params["embed_clip"], "embed_clip")
    engine = read_engine(params["engine"], arguments)

    # After the parameters are known to be good: torch takes seconds to import.
    from refdiff.clip.embed_split import embed_split

    with showing_progress(f"embed_clip {arguments.split} {arguments.source}", "photos") as report:
        made = embed_split(SplitLayout(arguments.split), arguments.source, settings, report, engine)
    if not engine.is_whole:
        print(
            f"{made.path}: part {arguments.part} is done, {made.computed} photos computed now; {made.missing} of "
            f"{made.photos} photos are missing; when all parts are done, run the stage without --part (`dvc repro`)"
        )
        return
    local, whole = made.plan.views["local"], made.plan.views["global"]
    print(
        f"{made.path}: {len(made.plan.texts)} texts, {local.total} local views ({', '.join(local.variants)}) and "
        f"{whole.total} global views ({', '.join(whole.variants)}) of {made.masks} masks; "
        f"{made.photos} photos, {made.computed} of them computed now"
    )


if __name__ == "__main__":
    run_command(main)
