"""A sweep gives the figures of separate runs, and writes them down."""

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from refdiff.cli import main
from refdiff.dataset.tables import read_dataset
from refdiff.evaluation.evaluate import evaluate
from refdiff.evaluation.settings import EvaluateMasksSettings
from refdiff.fusion.inputs import open_inputs
from refdiff.fusion.run import fuse_split
from refdiff.fusion.settings import FuseScoresSettings, MethodSettings
from refdiff.masks.overlap import read_overlap
from refdiff.params import parse_section
from refdiff.proposals.tables import read_proposals
from refdiff.sweep.axes import draw_points, make_grid, parse_axis, weigh
from refdiff.sweep.run import SweepResult, sweep_method
from tests.fusion.rows import ARGMAX, PAPER
from tests.fusion.small_split import SmallSplit, make_split
from tests.heat.test_heat_map import PAPER as READOUT

EVALUATE = {"unit": "object", "comparison": ">=", "precision_at": [0.1, 0.5], "histogram_bins": 4}
WEAK = {**PAPER, "proposals": "weak", "generative_weight": 1.0, "discriminative_weight": 0.0}
METHODS: dict[str, dict[str, Any]] = {
    "both": PAPER,
    "largest": {**PAPER, "keep_largest": 2},
    "area": {**WEAK, "select": {**ARGMAX, "rule": "area", "area_power": 0.25}},
    "fixed": {**WEAK, "select": {**ARGMAX, "rule": "fixed", "threshold": 0.5}},
    "otsu": {**WEAK, "select": {**ARGMAX, "rule": "otsu"}},
}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SmallSplit:
    """A split, and a second one that is the first under another name, with a params.yaml."""
    split = make_split(tmp_path_factory.mktemp("sweep"), READOUT, (0.1, 0.3, 0.5, 0.7, 0.9))
    folder = split.layout.folder
    (folder.parent / "test").symlink_to(folder.name)
    (split.layout.root / "params.yaml").write_text(yaml.safe_dump(_params()), encoding="utf-8")
    return split


def _params() -> dict[str, Any]:
    return {
        "splits": {"val": {}, "test": {}},
        "readouts": {"paper": READOUT.model_dump(mode="json")},
        "sources": {"regions": {}},
        "heat_sources": {"weak": {}},
        "methods": METHODS,
        "fuse_scores": {"pool_masks": True},
        "evaluate_masks": EVALUATE,
    }


def _sweep(split: SmallSplit, method: str, axes: list[str], count: int | None = None, **others: Any) -> SweepResult:
    parsed = [parse_axis(text) for text in axes]
    points = make_grid(parsed) if count is None else draw_points(parsed, count, 0)
    arguments = {"split": "val", "report_split": None, "metric": "miou", "progress": lambda steps, _: steps, **others}
    return sweep_method(_params(), method, parsed, points, root=split.layout.root, **arguments)


def _evaluate_alone(split: SmallSplit, method: MethodSettings) -> dict[str, Any]:
    settings = FuseScoresSettings(pool_masks=True)
    inputs = open_inputs(split.layout, method, READOUT, settings)
    table = fuse_split(inputs, method, READOUT, lambda steps, _: steps)
    proposals = split.layout.proposals(method.proposals)
    return evaluate(
        table,
        read_dataset(split.layout.dataset),
        read_proposals(proposals),
        read_overlap(split.layout.overlap(method.proposals)),
        method=method,
        settings=parse_section(EvaluateMasksSettings, EVALUATE, "evaluate_masks"),
    ).metrics


@pytest.mark.parametrize(
    ("method", "axes", "count"),
    [
        ("both", ["generative_weight=0:1", "beta=0:1", "text_local.head=0:1", "text_global.expression=0:2"], 12),
        ("both", ["generative_weight=0,1", "discriminative_weight=0.5,1"], None),
        ("largest", ["beta=0:1:0.25"], None),
        ("area", ["select.area_power=0.1:1:0.3"], None),
        ("fixed", ["select.threshold=0.05:0.95:0.15"], None),
        ("otsu", ["generative_weight=0.5,2"], None),
    ],
)
def test_every_weighting_has_the_figures_of_its_own_run(
    split: SmallSplit, method: str, axes: list[str], count: int | None
) -> None:
    result = _sweep(split, method, axes, count)
    parsed = [parse_axis(text) for text in axes]
    figures = set()
    for point, metrics in zip(result.points, result.metrics, strict=True):
        alone = _evaluate_alone(split, weigh(METHODS[method], parsed, point, method))
        assert {name: alone[name] for name in metrics} == metrics
        figures.add(metrics["mIoU"])
    # Else a sweep that ignored its weights would pass. Two rules do not look at the weights that they are given.
    assert len(figures) > 1 or method in ("largest", "otsu")
    assert result.metrics[result.best]["mIoU"] == max(figures)


def test_it_picks_on_one_split_and_reports_on_the_other(split: SmallSplit) -> None:
    result = _sweep(split, "both", ["beta=0:1:0.1"], report_split="test", metric="Pr@0.1")
    assert result.metric == "Pr@0.1"
    assert result.row["beta"] == result.points[result.best][0]
    assert result.reported == (result.metrics[result.best], result.own)
    assert set(result.provenance) == {"val", "test"}


def test_the_command_writes_table_plot_and_row(
    split: SmallSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(split.layout.root)
    out = tmp_path / "made" / "here"
    _main(monkeypatch, "both", "--split", "val", "--report-split", "test", "--set", "beta=0:1:0.5", "-o", str(out))
    printed = capsys.readouterr().out
    assert "3 weightings; the highest mIoU on val has beta" in printed
    assert "  test: mIoU" in printed
    with (out / "sweep.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["beta"] for row in rows] == ["0", "0.5", "1"]
    content = json.loads((out / "sweep.json").read_text(encoding="utf-8"))
    assert content["metrics"]["val"]["picked"]["mIoU"] == max(float(row["mIoU"]) for row in rows)
    assert parse_section(MethodSettings, content["row"], "row").beta == content["values"]["beta"]
    dots = [each for each in ET.parse(out / "sweep.svg").iter() if each.get("class") == "point"]
    assert len(dots) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("both", "--split", "train", "--set", "beta=0,1"), "splits: no entry 'train'"),
        (("mine", "--split", "val", "--set", "beta=0,1"), "methods: no entry 'mine'"),
        (("both", "--split", "val", "--set", "beta=0,1", "--report-split", "val"), "val: the weights are picked on it"),
        (("both", "--split", "val", "--set", "beta=0,1", "--metric", "best"), "--metric best: expected one of oIoU"),
        (("both", "--split", "val", "--set", "keep_largest=1,2"), "make it a method of its own"),
        (
            ("both", "--split", "val", "--set", "select.threshold=0.1,0.2"),
            "threshold must be null",
        ),
        (("area", "--split", "val", "--set", "discriminative_weight=0,1"), "masks have no CLIP embeddings"),
        (("both", "--split", "val", "--set", "beta=0,1", "-o", "params.yaml"), "params.yaml is a file; expected a"),
        (
            ("both", "--split", "val", "--set", "beta=0,1", "-o", ".", "--params", "sweep.json"),
            "-o sweep.json: is the same file as --params sweep.json",
        ),
    ],
)
def test_mistakes_are_one_line(
    split: SmallSplit,
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(split.layout.root)
    with pytest.raises(SystemExit) as ended:
        _main(monkeypatch, *arguments)
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in printed
    assert printed.count("\n") == 1


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["refdiff", "sweep", *arguments])
    main()
