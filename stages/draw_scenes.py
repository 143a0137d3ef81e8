"""Stage draw_scenes: the embedded demo dataset, drawn by rule, in REFER form."""

from demo.refer_form import write_refer_folder
from refdiff.checking.start import start_stage
from refdiff.command import run_command
from refdiff.demo.settings import DrawSettings
from refdiff.params import parse_section
from refdiff.paths import expand


def main() -> None:
    _, params = start_stage("draw_scenes", __doc__)
    settings = parse_section(DrawSettings, params["draw_scenes"], "draw_scenes")
    made = write_refer_folder(expand(settings.folder), settings.seed, settings.images, settings.sentences_per_image)
    print(f"{made.folder}: {made.images} scenes, {made.objects} objects, {made.sentences} sentences")


if __name__ == "__main__":
    run_command(main)
