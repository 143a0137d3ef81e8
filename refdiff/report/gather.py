"""Everything that the page shows, read from the artifacts of all splits and methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refdiff import __version__
from refdiff.attention.store import AttentionStore
from refdiff.clip.store import ClipStore
from refdiff.dataset.tables import read_dataset
from refdiff.errors import ParameterError, StoreMismatchError
from refdiff.evaluation.files import read_curves
from refdiff.evaluation.table import Results
from refdiff.fusion.predictions import read_predictions
from refdiff.fusion.settings import MethodSettings
from refdiff.heat.readout import ReadoutSettings
from refdiff.layout import SplitLayout
from refdiff.params import find, parse_section
from refdiff.parquet import read_provenance
from refdiff.progress import Progress
from refdiff.proposals.tables import read_proposals
from refdiff.report.content import ModelLine, Report, SplitContent
from refdiff.report.gallery import GalleryInputs, HeatSource, MethodOutput, draw_gallery
from refdiff.report.results import leading_method
from refdiff.report.settings import RenderReportSettings
from refdiff.text.tables import read_text


@dataclass(frozen=True, slots=True)
class Rows:
    """What params.yaml says of splits, methods and readouts.

    Attributes:
        splits: Rows as they are.
        methods: Parsed.
        readouts: Parsed.
    """

    splits: Mapping[str, Mapping[str, Any]]
    methods: Mapping[str, MethodSettings]
    readouts: Mapping[str, ReadoutSettings]


def read_rows(params: dict[str, Any]) -> Rows:
    """The rows that the report is about.

    Raises:
        ParameterError: A table is missing or empty, or a row does not fit.
    """
    tables = {name: _table(params, name) for name in ("splits", "methods", "readouts")}
    return Rows(
        tables["splits"],
        {name: parse_section(MethodSettings, row, f"methods.{name}") for name, row in tables["methods"].items()},
        {name: parse_section(ReadoutSettings, row, f"readouts.{name}") for name, row in tables["readouts"].items()},
    )


def gather_report(
    root: Path,
    rows: Rows,
    results: Results,
    settings: RenderReportSettings,
    *,
    parameters: str,
    progress: Progress,
) -> Report:
    """Read every split and draw its gallery.

    Args:
        root: The project's folder.
        rows: Splits, methods and readouts.
        results: metrics.json by split and method.
        settings: The section `render_report`.
        parameters: params.yaml as text, for the page.
        progress: Put around the splits.

    Raises:
        ArtifactMissingError: An artifact is not there.
        StoreError: One is damaged, or they do not belong together.
        ImageError: A photo cannot be read.
        ParameterError: A method names a readout that is not there.
    """
    splits = tuple(
        _gather_split(SplitLayout(name, root), row, rows, results[name], settings)
        for name, row in progress(rows.splits.items(), len(rows.splits))
    )
    return Report(__version__, parameters, splits)


def describe_method(method: MethodSettings) -> str:
    """One line on a method: what it chooses from, what scores, and by which rule it chooses."""
    parts = [f"masks: {method.proposals}"]
    if method.uses_heat:
        parts.append(f"heat: {method.readout}")
    weights = {"attention": method.generative_weight, "CLIP": method.discriminative_weight}
    used = {part: weight for part, weight in weights.items() if weight}
    score = next(iter(used)) if len(used) == 1 else " + ".join(f"{weight:g} {part}" for part, weight in used.items())
    parts.append(f"score: {score}")
    return "; ".join([*parts, f"choice: {method.select.describe()}"])


def _gather_split(
    layout: SplitLayout,
    row: Mapping[str, Any],
    rows: Rows,
    metrics: Mapping[str, Mapping[str, Any]],
    settings: RenderReportSettings,
) -> SplitContent:
    dataset, text = read_dataset(layout.dataset), read_text(layout.text)
    expected = len(dataset.expressions.expression_id)
    sources = dict.fromkeys(method.proposals for method in rows.methods.values())
    proposals = {source: read_proposals(layout.proposals(source)) for source in sources}
    methods = {
        name: MethodOutput(method, read_predictions(layout.predictions(name)), proposals[method.proposals])
        for name, method in rows.methods.items()
    }
    for name, method in methods.items():
        if not len(text) == expected == len(method.predictions):
            raise StoreMismatchError(
                f"{layout.predictions(name)}: expected a row for each of {expected} expressions, "
                f"got {len(method.predictions)}, and {len(text)} parsed sentences; run `dvc repro`"
            )
    readouts = _open_readouts(layout, rows, expected)
    inputs = GalleryInputs(layout.root, dataset, text, methods, readouts)
    return SplitContent(
        name=layout.split,
        row=row,
        meta=dataset.meta,
        metrics=metrics,
        curves={name: read_curves(layout.curves(name)) for name in rows.methods},
        descriptions={name: describe_method(method) for name, method in rows.methods.items()},
        models=_models(layout, rows, readouts),
        gallery=draw_gallery(inputs, leading_method(metrics), settings),
    )


def _open_readouts(layout: SplitLayout, rows: Rows, expected: int) -> dict[str, HeatSource]:
    """The readouts that methods use, each with its store, in the order in which methods name them."""
    names = dict.fromkeys(
        method.readout for method in rows.methods.values() if method.uses_heat and method.readout is not None
    )
    opened: dict[str, HeatSource] = {}
    for name in names:
        if name not in rows.readouts:
            raise ParameterError(f"readouts: no entry {name!r}; expected one of: {', '.join(rows.readouts)}")
        readout = rows.readouts[name]
        store = AttentionStore.open(layout.attention(readout.capture), expressions=expected)
        opened[name] = HeatSource(readout, store)
    return opened


def _models(layout: SplitLayout, rows: Rows, readouts: Mapping[str, HeatSource]) -> tuple[ModelLine, ...]:
    """Models and libraries, from the provenance of the artifacts."""
    lines = []
    spacy = _within(read_provenance(layout.text), "models", "spacy")
    if spacy:
        detail = f"{spacy.get('version', '')}, spaCy {spacy.get('spacy', '')}"
        lines.append(ModelLine("head words", str(spacy.get("package", "")), detail))
    for capture, source in {source.settings.capture: source for source in readouts.values()}.items():
        lines.append(_model_line(f"attention, capture {capture}", source.store.provenance))
    for source in dict.fromkeys(method.proposals for method in rows.methods.values()):
        provenance = read_provenance(layout.proposals(source))
        made_by = _within(provenance, "made_by")
        parameters = _within(provenance, "parameters")
        kinds = (part.get("kind") for part in parameters.values() if isinstance(part, dict))
        kind = next((str(kind) for kind in kinds if kind), source)
        lines.append(_model_line(f"masks, {source}", {"versions": made_by, **made_by}, kind))
    for source in dict.fromkeys(method.proposals for method in rows.methods.values() if method.uses_clip):
        lines.append(_model_line(f"CLIP on {source}", ClipStore.open(layout.clip(source)).attributes))
    return tuple(lines)


def _model_line(part: str, facts: Mapping[str, Any], otherwise: str = "") -> ModelLine:
    model, versions = _within(facts, "model"), _within(facts, "versions")
    details = [str(model["digest"])[:19]] if "digest" in model else []
    details += [f"{name} {version}" for name, version in versions.items() if isinstance(version, str)]
    return ModelLine(part, str(model.get("name", otherwise)), ", ".join(details))


def _within(facts: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The mapping at a place inside another; empty where there is none, as provenance is for people only."""
    for name in names:
        inner = facts.get(name)
        facts = inner if isinstance(inner, dict) else {}
    return facts


def _table(params: dict[str, Any], name: str) -> Mapping[str, Any]:
    rows = find(params, name)
    if not isinstance(rows, dict) or not rows:
        raise ParameterError(f"{name}: expected at least one named row, got {rows!r}; add one")
    return {str(key): row for key, row in rows.items()}
