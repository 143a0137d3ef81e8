"""The command `refdiff`: what sentences mean on one photo, what weightings reach, what stores hold."""

import argparse
import json
import os
import sys
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refdiff import __version__
from refdiff.command import run_command
from refdiff.doctor.command import add_doctor
from refdiff.errors import TextError
from refdiff.paths import expand_local
from refdiff.presets.command import add_init
from refdiff.presets.table import PRESETS, describe_presets, one_of
from refdiff.store.commands import add_store_commands
from refdiff.sweep.command import add_sweep

if TYPE_CHECKING:
    from refdiff.segment import Segmentation


def main() -> None:
    """Entry point of the command."""
    run_command(_run)


def _run() -> None:
    arguments = _make_parser().parse_args()
    for name, value in vars(arguments).items():
        if isinstance(value, Path):
            setattr(arguments, name, expand_local(value))
    arguments.run(arguments)


def segment_photo(arguments: argparse.Namespace) -> None:
    """`refdiff segment`: write the overlay (and masks), print what was found.

    Raises:
        RefdiffError: Something is refused; see the subclasses.
    """
    from refdiff.report.output import write_picture
    from refdiff.report.overlay import draw_overlay, tile_overlays
    from refdiff.segment import Segmenter, as_photo

    if arguments.output is None:
        arguments.output = Path(f"{arguments.photo.stem}_overlay.png")
    # All that can be refused at once is refused before a model is loaded.
    mask_paths = name_masks(arguments.mask, len(arguments.sentences)) if arguments.mask is not None else []
    _check_files(arguments, mask_paths)
    for place, sentence in enumerate(arguments.sentences, 1):
        _check_sentence(sentence, f"sentence {place}")
    preset = PRESETS[arguments.preset or "demo"]
    segmenter = Segmenter(
        arguments.params or preset.read(),
        arguments.method or preset.method,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    photo = as_photo(arguments.photo)
    found = segmenter.segment(photo, arguments.sentences)
    overlays = [draw_overlay(photo, each.mask, each.sentence, each.heat if arguments.heat else None) for each in found]
    write_picture(arguments.output, tile_overlays(overlays))
    for path, each in zip(mask_paths, found, strict=bool(mask_paths)):
        write_picture(path, each.mask.astype("uint8") * 255)
    if arguments.json:
        content = describe(arguments.photo, arguments.output, segmenter.method, found)
        print(json.dumps(content, ensure_ascii=True, indent=2, allow_nan=False))
        return
    for each in found:
        print(summarise(each))
    for path in (arguments.output, *mask_paths):
        print(path)


def _check_files(arguments: argparse.Namespace, mask_paths: list[Path]) -> None:
    """See that every file can be written, and is no other that is read or written.

    Raises:
        OutputError: One cannot, or is.
    """
    from refdiff.report.output import MASKS, PICTURES, STANDARD_OUTPUT, check_outputs, check_picture_path

    check_picture_path(arguments.output, PICTURES)
    for path in mask_paths:
        check_picture_path(path, MASKS)
    check_outputs(
        [("-o", arguments.output), *(("--mask", path) for path in mask_paths), STANDARD_OUTPUT],
        [("the photo", arguments.photo), *([("--params", arguments.params)] if arguments.params else [])],
    )


def _check_sentence(sentence: str, name: str) -> None:
    if not sentence.strip():
        raise TextError(f"{name}: is blank, got {sentence!r}; expected words")
    if Path(sentence).suffix and os.path.isfile(sentence):  # noqa: PTH113 whatever characters it has
        raise TextError(
            f"{name}: is a file, got {sentence!r}; expected words after one photo; run the command once for each photo"
        )


def describe(photo: Path, overlay: Path, method: str, found: "list[Segmentation]") -> dict[str, Any]:
    """What was found, as plain containers; masks as compressed COCO run-length codes."""
    return {
        "photo": str(photo),
        "overlay": str(overlay),
        "method": method,
        "refdiff": __version__,
        "sentences": [_describe_one(each) for each in found],
    }


def summarise(found: "Segmentation") -> str:
    """One line on a sentence."""
    sentence = json.dumps(found.sentence, ensure_ascii=False)
    if found.choice.index < 0:
        return f"{sentence}: nothing found, there were no candidates"
    area = int(found.mask.sum())
    share = 100 * area / found.mask.size
    parts = ", ".join(f"{name} {value:.3f}" for name, value in found.scores.items())
    return (
        f"{sentence}: {area:,} pixels ({share:.1f} % of the photo), one of {int(found.choice.kept.sum())} candidates; "
        f"head word {found.head.text!r}; score {parts}"
    )


def name_masks(path: Path, count: int) -> list[Path]:
    """File names of the masks: the one given, or numbered from 1 for several sentences."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}_{place}{path.suffix}") for place in range(1, count + 1)]


def _describe_one(found: "Segmentation") -> dict[str, Any]:
    from refdiff.masks.rle import encode_mask

    height, width = found.mask.shape
    index = found.choice.index
    threshold = float("nan") if index < 0 else float(found.proposals.thresholds[index])
    return {
        "sentence": found.sentence,
        "head": {"text": found.head.text, "start": found.head.start, "end": found.head.end},
        "direction": found.parsed.direction,
        "chosen": None if index < 0 else index,
        "candidates": int(found.choice.kept.sum()),
        "scores": found.scores,
        "threshold": None if isnan(threshold) else threshold,
        "area_px": int(found.mask.sum()),
        "box_xyxy": _box(found),
        "mask": {"size": [height, width], "counts": encode_mask(found.mask).decode("ascii")},
    }


def _box(found: "Segmentation") -> list[int] | None:
    """Left, top, right and bottom of the mask, the last two exclusive."""
    rows, columns = found.mask.nonzero()
    if not len(rows):
        return None
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="refdiff", description="Zero-shot referring image segmentation.")
    parser.add_argument("--version", action="version", version=f"refdiff {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    segment = commands.add_parser(
        "segment",
        help="draw what sentences mean on a photo",
        description="Draw what sentences mean on a photo. Without --preset or --params the demo's miniature models are "
        f"used: they know drawn shapes, and cannot understand photos. Presets are {describe_presets()}.",
    )
    segment.add_argument("photo", type=Path, metavar="PHOTO", help="an image file")
    segment.add_argument("sentences", nargs="+", metavar="SENTENCE", help='such as "the dog on the left"')
    segment.add_argument(
        "-o", "--output", type=Path, metavar="OVERLAY", help="picture that is written; PHOTO_overlay.png here if absent"
    )
    segment.add_argument("--method", metavar="NAME", help="a row of methods; ref-diff-plus, or the preset's, if absent")
    parameters = segment.add_mutually_exclusive_group()
    parameters.add_argument(
        "--preset", type=one_of(PRESETS), choices=PRESETS, help="all parameters by one word; demo if absent"
    )
    parameters.add_argument("--params", type=Path, metavar="FILE", help="a params.yaml")
    segment.add_argument(
        "--mask", type=Path, metavar="PNG", help="write the mask too (255 inside); for several sentences _1, _2 ..."
    )
    segment.add_argument("--heat", action="store_true", help="draw the heat map beside the mask, if the method has one")
    segment.add_argument("--json", action="store_true", help="print what was found as JSON")
    segment.set_defaults(run=segment_photo)
    add_init(commands)
    add_doctor(commands)
    add_sweep(commands)
    add_store_commands(commands)
    return parser


if __name__ == "__main__":
    main()
