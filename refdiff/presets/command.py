"""The command `refdiff init`."""

import argparse
from pathlib import Path

from refdiff.errors import ParameterError
from refdiff.params import PARAMS_FILE, read_params
from refdiff.presets.datasets import DATASETS, split_rows
from refdiff.presets.table import PRESETS, Preset, describe_presets, one_of
from refdiff.whole_file import write_whole


def add_init(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `init` to the command line."""
    parser = commands.add_parser(
        "init",
        help="write params.yaml: a preset's parameters for a dataset",
        description=f"Write params.yaml in this folder: a preset's parameters with a dataset's splits. Presets are "
        f"{describe_presets()}. A params.yaml that somebody changed is not replaced without --force.",
    )
    parser.add_argument("--preset", required=True, type=one_of(PRESETS), choices=PRESETS, help="whose parameters")
    parser.add_argument(
        "--dataset",
        type=one_of(DATASETS),
        choices=DATASETS,
        help="whose splits; jsonl is your own; the drawn scenes if absent, for demo only",
    )
    parser.add_argument("--folder", metavar="FOLDER", help="its annotations, if not data/<dataset>")
    parser.add_argument(
        "--images", metavar="FOLDER", help="its photos, if not data/train2014; of jsonl: if not --folder"
    )
    parser.add_argument("--splits", nargs="+", metavar="SPLIT", help="such as val testA; all published ones if absent")
    parser.add_argument("--force", action="store_true", help="replace a params.yaml that somebody changed")
    parser.set_defaults(run=_init)


def _init(arguments: argparse.Namespace) -> None:
    """Write params.yaml and say what is next.

    Raises:
        ParameterError: The words do not go together, or params.yaml is somebody's own.
        OutputError: It cannot be written.
    """
    preset = PRESETS[arguments.preset]
    text = _make_text(preset, arguments)
    if not arguments.force:
        _refuse_changed(PARAMS_FILE)
    write_whole(PARAMS_FILE, text.encode("utf-8"))
    splits = ", ".join(read_params(PARAMS_FILE)["splits"])
    print(f"{PARAMS_FILE}: preset {preset.name} ({preset.summary}); splits {splits}")
    print("`refdiff doctor` says what is there and what is missing; `dvc repro` runs it")
    if not Path("dvc.yaml").is_file():
        print("this folder has no dvc.yaml: the pipeline runs in a clone of refdiff's repository")


def _make_text(preset: Preset, arguments: argparse.Namespace) -> str:
    if arguments.dataset is None:
        if preset.name != "demo":
            raise ParameterError(
                f"--preset {preset.name}: no dataset; expected --dataset and one of: {', '.join(DATASETS)}; "
                "jsonl is your own photos and sentences"
            )
        if arguments.folder or arguments.images or arguments.splits:
            raise ParameterError("--folder, --images, --splits: belong to a dataset; add --dataset or leave them out")
        return preset.path.read_text(encoding="utf-8")
    from refdiff.presets.compose import compose

    rows = split_rows(arguments.dataset, arguments.folder, arguments.images, arguments.splits)
    return compose(preset, arguments.dataset, rows)


def _refuse_changed(path: Path) -> None:
    """Refuse to replace what a person wrote.

    Raises:
        ParameterError: The file has other content than a preset or this command gave it.
    """
    from refdiff.presets.compose import is_unchanged

    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: is there and cannot be read ({error}); see to it, or add --force") from error
    if not is_unchanged(text.replace("\r\n", "\n")):
        raise ParameterError(
            f"{path}: has changes of its own, which would be lost; expected a file as `refdiff init` or the "
            "repository has it; save it elsewhere, or add --force"
        )
