"""A sweep from start to end: weightings measured on one split, the best picked, and reported on another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refdiff.dataset.tables import read_dataset
from refdiff.errors import ParameterError
from refdiff.evaluation.metrics import precision_name
from refdiff.evaluation.settings import EvaluateMasksSettings
from refdiff.fusion.inputs import open_inputs
from refdiff.fusion.settings import FuseScoresSettings, MethodSettings, check_source
from refdiff.heat.readout import read_readout
from refdiff.layout import SplitLayout
from refdiff.params import find, parse_section
from refdiff.progress import Progress
from refdiff.provenance import describe_run
from refdiff.sweep.axes import Axis, weigh
from refdiff.sweep.measure import Metrics, measure_weightings, widest_row


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep found.

    Attributes:
        method: The method's name.
        fields: What was varied.
        points: Values of each weighting, in the order of the fields.
        metrics: Of each weighting, on the split that picks.
        metric: The one that picked.
        best: Position of the picked weighting; the first of equally good ones.
        row: The picked weighting as a row of params.yaml.
        own: Metrics of the method's own row, on the split that picks.
        reported: On the other split, if one was named: of the picked weighting and of the method's own row.
        provenance: Of each split: parameters, digests of what was read, versions.
    """

    method: str
    fields: tuple[str, ...]
    points: Sequence[tuple[float, ...]]
    metrics: Sequence[Metrics]
    metric: str
    best: int
    row: dict[str, Any]
    own: Metrics
    reported: tuple[Metrics, Metrics] | None
    provenance: dict[str, Any]


def sweep_method(
    params: dict[str, Any],
    name: str,
    axes: Sequence[Axis],
    points: Sequence[tuple[float, ...]],
    *,
    split: str,
    report_split: str | None,
    metric: str,
    progress: Progress,
    root: Path = Path(),
) -> SweepResult:
    """Measure weightings of a method.

    Args:
        params: Content of params.yaml.
        name: A row of `methods`.
        axes: What is varied.
        points: The values of every weighting.
        split: The split that picks.
        report_split: The split that the picked weighting is reported on; None reports on none.
        metric: oIoU, mIoU or a Pr@X of `evaluate_masks`.
        progress: Called with steps and their number.
        root: The project's folder.

    Raises:
        ParameterError: A name, a weighting or the metric is refused.
        StoreError: An artifact is missing, damaged or does not fit.
    """
    evaluating = parse_section(EvaluateMasksSettings, find(params, "evaluate_masks"), "evaluate_masks")
    metric = _find_metric(metric, evaluating)
    where = f"methods.{name}"
    row: Any = find(params, where)
    own = parse_section(MethodSettings, row, where)
    methods = [weigh(row, axes, point, where) for point in points]
    bench = _Bench(params, name, evaluating, progress, root)
    if report_split == split:
        raise ParameterError(
            f"--report-split {split}: the weights are picked on it; expected another split, or none; name another"
        )
    for each in (split, report_split):
        if each is not None:
            _check_truth(params, each, root)
    measured, digest = bench.measure(split, [*methods, own])
    ranked = [value if (value := each[metric]) is not None else -1.0 for each in measured[:-1]]
    if max(ranked) < 0:
        raise ParameterError(
            f"--metric {metric}: has no value on {split} for any weighting (Pr@X needs sentences with a target, oIoU a "
            "pixel of a mask); expected a metric that the split has; name another one, or another --split"
        )
    best = max(range(len(ranked)), key=ranked.__getitem__)
    reported, provenance = None, {split: digest}
    if report_split is not None:
        found, provenance[report_split] = bench.measure(report_split, [methods[best], own])
        reported = (found[0], found[1])
    return SweepResult(
        method=name,
        fields=tuple(axis.field for axis in axes),
        points=points,
        metrics=measured[:-1],
        metric=metric,
        best=best,
        row=methods[best].model_dump(mode="json"),
        own=measured[-1],
        reported=reported,
        provenance=provenance,
    )


@dataclass(frozen=True, slots=True)
class _Bench:
    """Measures weightings of one method on any split."""

    params: dict[str, Any]
    name: str
    evaluating: EvaluateMasksSettings
    progress: Progress
    root: Path

    def measure(self, split: str, methods: Sequence[MethodSettings]) -> tuple[list[Metrics], dict[str, Any]]:
        """Metrics of every weighting, and where they come from."""
        params = self.params
        fusing = parse_section(FuseScoresSettings, find(params, "fuse_scores"), "fuse_scores")
        widest = widest_row(methods)
        check_source(self.name, widest, _names(params, "sources"), _names(params, "heat_sources"))
        readout = None
        if widest.readout is not None:
            readout = read_readout(params, widest.readout)
        inputs = open_inputs(SplitLayout(split, self.root), widest, readout, fusing)
        parameters = {
            "method": widest.model_dump(mode="json"),
            "readout": readout.model_dump(mode="json") if readout else None,
            "fuse_scores": fusing.model_dump(mode="json"),
            "evaluate_masks": self.evaluating.model_dump(mode="json"),
        }
        digest = describe_run("sweep", parameters, inputs.files)
        return measure_weightings(inputs, methods, readout, self.evaluating, self.progress), digest


def _check_truth(params: dict[str, Any], split: str, root: Path) -> None:
    """Refuse a split on which nothing can be measured.

    Raises:
        ParameterError: There is no such split, or none of its sentences has a true mask.
        StoreError: Its tables are missing or damaged.
    """
    find(params, f"splits.{split}")
    if not (read_dataset(SplitLayout(split, root).dataset).expressions.target_index >= 0).any():
        raise ParameterError(
            f"splits.{split}: no sentence has a true mask, so nothing can be measured; expected at least one; name a "
            "split with masks"
        )


def _find_metric(asked: str, settings: EvaluateMasksSettings) -> str:
    """The metric's own spelling.

    Raises:
        ParameterError: There is no such metric.
    """
    names = ["oIoU", "mIoU", *(precision_name(threshold) for threshold in settings.precision_at)]
    for name in names:
        if asked.lower() == name.lower():
            return name
    raise ParameterError(
        f"--metric {asked}: expected one of {', '.join(names)}; other X of Pr@X belong in evaluate_masks.precision_at"
    )


def _names(params: dict[str, Any], table: str) -> list[str]:
    rows = params.get(table)
    return [str(name) for name in rows] if isinstance(rows, dict) else []
