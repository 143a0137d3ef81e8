import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refdiff.errors import ArtifactMissingError, ImageError, ParameterError, StoreMismatchError
from refdiff.evaluation.table import read_results
from refdiff.fusion.predictions import read_predictions
from refdiff.layout import SplitLayout
from refdiff.params import parse_section
from refdiff.report.content import Report
from refdiff.report.gallery import known_iou
from refdiff.report.gather import gather_report, read_rows
from refdiff.report.settings import RenderReportSettings
from tests.report.small_project import METHODS, REPORT, make_params


def _gather(root: Path, params: dict[str, Any] | None = None, **changes: Any) -> Report:
    rows = read_rows(params if params is not None else make_params())
    settings = parse_section(RenderReportSettings, {**REPORT, **changes}, "render_report")
    results = read_results(rows.splits, rows.methods, root)
    return gather_report(root, rows, results, settings, parameters="", progress=lambda steps, _: steps)


def test_best_and_worst_are_by_the_leading_method(project: Path, report: Report) -> None:
    split = report.splits[0]
    leading = max(METHODS, key=lambda name: split.metrics[name]["mIoU"])
    assert split.gallery.ranked_by == leading
    iou = known_iou(read_predictions(SplitLayout("val", project).predictions(leading)))
    shown = [panel.iou for case in split.gallery.cases[:1] for panel in case.choices if panel.method == leading]
    assert shown == [np.nanmax(iou)]


def test_scores_are_those_of_the_predictions(project: Path, report: Report) -> None:
    table = read_predictions(SplitLayout("val", project).predictions("both"))
    for case in report.splits[0].gallery.cases:
        row = table.expression_id.index(case.expression_id)
        panel = next(panel for panel in case.choices if panel.method == "both")
        assert panel.is_empty == (table.proposal_index[row] < 0)
        assert panel.candidates == table.n_proposals[row]
        if not panel.is_empty:
            assert panel.scores["attention"] == pytest.approx(table.score_generative[row])
            assert panel.scores["score"] == pytest.approx(table.score[row])
        assert panel.threshold is None
        assert panel.iou is None or 0 <= panel.iou <= 1


def test_a_method_shows_only_the_scores_that_it_has(report: Report) -> None:
    for case in report.splits[0].gallery.cases:
        panels = {panel.method: panel for panel in case.choices}
        if not panels["ds"].is_empty:
            assert set(panels["ds"].scores) == {"CLIP", "local", "global"}
        assert set(panels["ref-diff"].scores) == {"attention"}
        assert panels["ref-diff"].threshold is None or round(panels["ref-diff"].threshold, 4) in {0.2, 0.4, 0.6, 0.8}


def test_what_is_known_of_the_truth_is_said(report: Report) -> None:
    notes = {case.expression_id: case.note for case in report.splits[0].gallery.cases}
    assert notes["e2"] == "no true mask given"
    assert notes["e4"] == "no target: nothing in the photo is meant"
    assert notes["e0"] == ""


def test_heats_are_of_the_readouts_that_methods_use(report: Report) -> None:
    for case in report.splits[0].gallery.cases:
        assert [heat.readout for heat in case.heats] == ["paper"]


def test_a_fixed_method_can_rank(project: Path) -> None:
    assert _gather(project, ranked_by="ds").splits[0].gallery.ranked_by == "ds"
    with pytest.raises(ParameterError, match=r"ranked_by: no method 'gs'; expected null or one of: ref-"):
        _gather(project, ranked_by="gs")


def test_no_pictures_at_all(project: Path) -> None:
    assert _gather(project, gallery={"best": 0, "worst": 0, "random": 0}).splits[0].gallery.cases == ()


def test_unknown_readouts_and_missing_tables_are_refused(project: Path) -> None:
    params = make_params()
    with pytest.raises(ParameterError, match="readouts: no entry 'paper'; expected one of: other"):
        _gather(project, {**params, "readouts": {"other": params["readouts"]["paper"]}})
    with pytest.raises(ParameterError, match="methods: expected at least one named row, got"):
        read_rows({**params, "methods": {}})
    with pytest.raises(ParameterError, match=r"params.yaml: no entry 'splits'"):
        read_rows({"methods": METHODS})


def test_missing_and_strange_artifacts_are_named(project: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(project, root)
    layout = SplitLayout("val", root)
    layout.curves("ds").write_text("{", encoding="utf-8")
    with pytest.raises(StoreMismatchError, match=r"ds/curves.json: the whole: Invalid JSON"):
        _gather(root)
    layout.curves("ds").unlink()
    with pytest.raises(ArtifactMissingError, match=r"ds/curves.json: not there; run `dvc repro`"):
        _gather(root)
    (root / "photo0.png").write_bytes(b"")
    with pytest.raises((ImageError, ArtifactMissingError)):
        _gather(root)
    layout.metrics("both").unlink()
    with pytest.raises(ArtifactMissingError, match=r"both/metrics.json: not there"):
        _gather(root)
