"""The table of results, for a terminal."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from refdiff.evaluation.files import read_details, read_metrics
from refdiff.evaluation.metrics import precision_name
from refdiff.evaluation.remarks import remark_split
from refdiff.layout import SplitLayout

SHOWN_PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.9)
_LEAST_WIDTH = 76
"""Characters that all figures need beside a method's name; a narrower terminal folds lines itself."""
Results = Mapping[str, Mapping[str, Mapping[str, Any]]]


def read_results(splits: Iterable[str], methods: Iterable[str], root: Path = Path()) -> Results:
    """Every metrics.json and details.json, joined: split -> method -> figures and what they are of.

    Raises:
        ArtifactMissingError: One is not there.
        StoreMismatchError: One is something else.
    """
    names = list(methods)
    layouts = {split: SplitLayout(split, root) for split in splits}
    return {
        split: {name: {**read_details(at.details(name)), **read_metrics(at.metrics(name))} for name in names}
        for split, at in layouts.items()
    }


def print_table(results: Results, benchmarks: Mapping[str, str | None], console: Console | None = None) -> None:
    """Print one table per split, a row per method, figures in per cent; remarks below it.

    Args:
        results: split -> method -> metrics, as `read_results` gives them.
        benchmarks: The published benchmark that each split is; None, or no entry, for none.
        console: Where to; standard output when None.
    """
    out = console if console is not None else Console()
    out.width = max(out.width, _LEAST_WIDTH)
    # Caught and printed: rich itself ends a program whose reader is gone with exit code 1.
    with out.capture() as text:
        for split, methods in results.items():
            out.print(make_table(split, methods))
            for remark in [*_no_target_figures(methods), *remark_split(methods, benchmarks.get(split))]:
                out.print(Padding(Text(remark), (0, 0, 0, 1)))
    print(text.get(), end="", file=out.file)


def make_table(split: str, methods: Mapping[str, Mapping[str, Any]]) -> Table:
    """The table of one split."""
    counts = sorted({(metrics["n_evaluated"], metrics["n_expressions"]) for metrics in methods.values()})
    shown = ", ".join(str(counted) if counted == there else f"{counted} of {there}" for counted, there in counts)
    table = Table(
        title=f"{escape(split)}: {shown} {'expression' if shown == '1' else 'expressions'}, figures in %",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    # No figure is ever cut: with the shipped methods the table fits 80 characters, longer names are folded.
    table.add_column("method", overflow="fold")
    precision = [precision_name(threshold) for threshold in SHOWN_PRECISIONS]
    short = [f"Pr@{f'{threshold:g}'.lstrip('0')}" for threshold in SHOWN_PRECISIONS]
    for name in ("oIoU", "mIoU", *short, "chance\nmIoU", "oracle\nmIoU"):
        table.add_column(name, justify="right", no_wrap=True, min_width=6)
    for method, metrics in methods.items():
        own = [metrics.get(name) for name in ("oIoU", "mIoU", *precision)]
        beside = [metrics[name]["mIoU"] for name in ("chance", "oracle")]
        table.add_row(escape(method), *(_percent(value) for value in (*own, *beside)))
    return table


def _no_target_figures(methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """N-acc and T-acc of each method that was asked about something that is not there."""
    return [
        f"{name}: N-acc {_percent(each.get('N-acc'))} of {each['n_no_target']} no-target sentences, "
        f"T-acc {_percent(each.get('T-acc'))} of {each['n_evaluated'] - each['n_no_target']} with a target"
        for name, each in methods.items()
        if each["n_no_target"]
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
