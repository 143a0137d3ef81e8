"""The page: one HTML file without scripts that loads nothing from anywhere.

Whatever comes from a dataset or from params.yaml goes through the template's escaping; only this package's own SVG and
style are put in as they are.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from refdiff.dataset.benchmarks import find_benchmark
from refdiff.evaluation.remarks import remark_split
from refdiff.report.content import Case, Report, SplitContent
from refdiff.report.curves import Line, draw_curves, draw_range, precision_lines
from refdiff.report.published import BENCHMARKS, CONDITIONS, find_published
from refdiff.report.results import ResultRow, leading_method, percent, result_columns, result_rows

TEMPLATES = Path(__file__).parent
FEWEST_PANELS, MOST_PANELS = 4, 6
KINDS = {
    "best": "Best",
    "worst": "Worst",
    "random": "At random",
}


def render_page(report: Report) -> str:
    """The report as HTML.

    Args:
        report: What it shows.

    Returns:
        A whole document, UTF-8 when written.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    return environment.get_template("page.jinja").render(
        report=report,
        splits=[_describe_split(place, split) for place, split in enumerate(report.splits)],
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        conditions=CONDITIONS,
        benchmarks=", ".join(BENCHMARKS),
    )


def split_sentence(case: Case) -> tuple[str, str, str]:
    """The sentence before, in and behind its head word."""
    start, end = case.head
    return case.sentence[:start], case.sentence[start:end], case.sentence[end:]


def _describe_split(place: int, split: SplitContent) -> dict[str, Any]:
    """The values that the template asks for."""
    columns = result_columns(split.metrics)
    rows = result_rows(split.metrics, split.descriptions, columns)
    lines = precision_lines(split.curves, leading_method(split.metrics))
    benchmark = split.row.get("benchmark")
    known = find_benchmark(benchmark) if benchmark else None
    return {
        "content": split,
        "anchor": f"split-{place}",
        "columns": columns,
        "rows": [(row, _range(row)) for row in rows],
        "published": find_published(benchmark) if benchmark else (),
        "benchmark": benchmark,
        "benchmark_sentences": known.sentences if known else None,
        "remarks": remark_split(split.metrics, benchmark),
        "chart": Markup(draw_curves(lines, f"Pr@X over X of {split.name}")) if lines else None,
        "legend": lines,
        "keys": _swatches(lines),
        "conventions": _conventions(split.metrics),
        "facts": _facts(split),
        "panels": _panels(split),
        "groups": [
            (title, [(case, split_sentence(case)) for case in split.gallery.cases if case.kind == kind])
            for kind, title in KINDS.items()
        ],
    }


def _panels(split: SplitContent) -> int:
    """Pictures side by side on a wide screen."""
    widest = max((max(len(case.heats) + 1, len(case.choices)) for case in split.gallery.cases), default=1)
    return min(max(widest, FEWEST_PANELS), MOST_PANELS)


def _range(row: ResultRow) -> Markup | None:
    if row.chance is None or row.own is None or row.oracle is None:
        return None
    return Markup(draw_range(row.chance, row.own, row.oracle))


def _swatches(lines: list[Line]) -> list[tuple[Markup, str]]:
    """Legend entries: a short piece of each line, and its name."""
    return [
        (
            Markup(
                '<svg class="swatch" viewBox="0 0 28 10" aria-hidden="true">'
                f'<line class="line {line.look}" x1="1" x2="27" y1="5" y2="5"/>'
                + ("" if line.is_reference else f'<circle class="dot {line.look}" cx="14" cy="5" r="3.2"/>')
                + "</svg>"
            ),
            line.name,
        )
        for line in lines
    ]


def _conventions(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The conventions of the first method; evaluate_masks has one section for all."""
    return dict(next(iter(metrics.values()))["conventions"])


def _facts(split: SplitContent) -> list[tuple[str, str]]:
    """Numbers under the split's heading."""
    counts = split.meta.get("counts", {})
    names = {"images": "photos", "expressions": "sentences", "targets": "true masks", "no_targets": "no-targets"}
    facts = [(words, f"{counts[name]:,}") for name, words in names.items() if counts.get(name)]
    return [*facts, ("faults dropped", f"{len(split.meta.get('dropped', [])):,}")]
