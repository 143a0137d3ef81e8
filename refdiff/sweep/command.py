"""The command `refdiff sweep`."""

import argparse
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from refdiff.errors import OutputError, ParameterError
from refdiff.params import PARAMS_FILE, read_params
from refdiff.progress import tracker
from refdiff.report.output import STANDARD_OUTPUT, check_file_path, check_outputs
from refdiff.sweep.axes import WEIGHTS, draw_points, make_grid, parse_axis
from refdiff.sweep.plot import draw_sweep
from refdiff.sweep.run import SweepResult, sweep_method
from refdiff.whole_file import write_whole

SHOWN = ("mIoU", "oIoU")
FILES = ("sweep.csv", "sweep.svg", "sweep.json")


def add_sweep(commands: Any) -> None:
    """Add the command to those of the program."""
    parser = commands.add_parser(
        "sweep",
        help="measure many weightings of a method at once",
        description="Measure many weightings of a method on a split whose artifacts are there. The best one is picked, "
        "and reported on another split if one is named. Writes sweep.csv (a row a weighting), sweep.svg and sweep.json "
        "(the picked row, figures, provenance). Fields: " + ", ".join(WEIGHTS) + ".",
    )
    parser.add_argument("method", metavar="METHOD", help="a row of methods in the parameters")
    parser.add_argument("--split", required=True, metavar="NAME", help="the split that picks")
    parser.add_argument("--report-split", metavar="NAME", help="the split that the picked weighting is reported on")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="axes",
        metavar="FIELD=LOW:HIGH:STEP",
        help="vary a field; also FIELD=A,B,C, and with --random FIELD=LOW:HIGH; may be given several times",
    )
    parser.add_argument("--random", type=int, metavar="N", help="draw N combinations instead of taking all of them")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of --random; 0 if absent")
    parser.add_argument(
        "--metric", default="mIoU", metavar="NAME", help="what picks: mIoU (if absent), oIoU, Pr@0.5 ..."
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("sweep"), metavar="FOLDER", help="sweep if absent")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE, metavar="FILE", help="params.yaml if absent")
    parser.set_defaults(run=run_sweep)


def run_sweep(arguments: argparse.Namespace) -> None:
    """`refdiff sweep`: measure, write the table and the plot, print what was picked.

    Raises:
        RefdiffError: Something is refused; see the subclasses.
    """
    paths = [arguments.output / name for name in FILES]
    for path in paths:
        check_file_path(path)
    check_outputs([*(("-o", path) for path in paths), STANDARD_OUTPUT], [("--params", arguments.params)])
    axes = [parse_axis(text) for text in arguments.axes]
    if arguments.random is not None:
        points = draw_points(axes, arguments.random, _check_seed(arguments.seed))
    else:
        points = make_grid(axes)
    result = sweep_method(
        read_params(arguments.params),
        arguments.method,
        axes,
        points,
        split=arguments.split,
        report_split=arguments.report_split,
        metric=arguments.metric,
        progress=tracker("sweep", transient=True),
        root=arguments.params.parent,
    )
    title = f"{arguments.method} on {arguments.split}, {len(points)} weightings"
    reached = {place: value for place, each in enumerate(result.metrics) if (value := each[result.metric]) is not None}
    contents = (
        write_table(result),
        draw_sweep(result.fields, [points[place] for place in reached], list(reached.values()), result.metric, title),
        json.dumps(_describe(result, arguments), indent=2, allow_nan=False) + "\n",
    )
    _write(dict(zip(paths, contents, strict=True)))
    print("\n".join(summarise(result, arguments.split, arguments.report_split)))
    print(", ".join(map(str, paths)))


def write_table(result: SweepResult) -> str:
    """A row a weighting as CSV: the fields, then the metrics as shares in [0, 1]."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*result.fields, *result.metrics[0]])
    for point, metrics in zip(result.points, result.metrics, strict=True):
        writer.writerow([*(f"{value:.10g}" for value in point), *("" if v is None else v for v in metrics.values())])
    return text.getvalue()


def summarise(result: SweepResult, split: str, report_split: str | None) -> Iterator[str]:
    """The picked weighting and the method's own row, in words."""
    point = result.points[result.best]
    values = ", ".join(f"{name} {value:g}" for name, value in zip(result.fields, point, strict=True))
    yield f"{len(result.points)} weightings; the highest {result.metric} on {split} has {values}"
    measured = [(split, result.metrics[result.best], result.own)]
    if result.reported is not None and report_split is not None:
        measured.append((report_split, *result.reported))
    for name, best, own in measured:
        shown = dict.fromkeys((result.metric, *SHOWN))
        figures = (f"{metric} {_percent(best[metric])} (row as it is: {_percent(own[metric])})" for metric in shown)
        yield f"  {name}: {', '.join(figures)}"


def _describe(result: SweepResult, arguments: argparse.Namespace) -> dict[str, Any]:
    splits = {arguments.split: {"picked": result.metrics[result.best], "own_row": result.own}}
    if result.reported is not None:
        splits[arguments.report_split] = {"picked": result.reported[0], "own_row": result.reported[1]}
    return {
        "method": result.method,
        "picked_by": result.metric,
        "picked_on": arguments.split,
        "weightings": len(result.points),
        "seed": arguments.seed if arguments.random is not None else None,
        "values": dict(zip(result.fields, result.points[result.best], strict=True)),
        "row": result.row,
        "metrics": splits,
        "provenance": result.provenance,
    }


def _write(files: dict[Path, str]) -> None:
    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: its folder cannot be made ({error.strerror}); name another with -o") from error
        write_whole(path, content.encode())


def _check_seed(seed: int) -> int:
    if seed < 0:
        raise ParameterError(f"--seed {seed}: expected 0 or more")
    return seed


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"
