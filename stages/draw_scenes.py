"""Stage draw_scenes: the embedded demo dataset, drawn by rule, in REFER form."""

from refdiff.command import run_command
from refdiff.demo.refer_form import write_refer_folder
from refdiff.demo.settings import DrawSettings
from refdiff.params import read_section
from refdiff.paths import expand


def main() -> None:
    settings = read_section(DrawSettings, "draw_scenes")
    made = write_refer_folder(expand(settings.folder), settings.seed, settings.images, settings.sentences_per_image)
    print(f"{made.folder}: {made.images} scenes, {made.objects} objects, {made.sentences} sentences")


if __name__ == "__main__":
    run_command(main)
