"""Splits with little or nothing to measure, from fused scores over metrics and the sweep to the page."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from refdiff.errors import ParameterError
from refdiff.evaluation.table import print_table, read_results
from refdiff.params import parse_section, read_params
from refdiff.report.gather import gather_report, read_rows
from refdiff.report.page import render_page
from refdiff.report.settings import RenderReportSettings
from refdiff.sweep.axes import make_grid, parse_axis
from refdiff.sweep.run import sweep_method
from tests.report.html_reader import PageReader
from tests.report.small_project import REPORT, make_project

NO_MASKS: dict[str, Any] = {"TARGET_OF": (-1,) * 6, "NO_TARGETS": ()}
NO_TARGETS: dict[str, Any] = {"NO_TARGETS": (0, 1, 2, 3, 4)}
ONE_SENTENCE: dict[str, Any] = {
    "SIZES": ((24, 32),),
    "IMAGE_OF": (0,),
    "REF_OF": ("r0",),
    "TARGET_OF": (0,),
    "NO_TARGETS": (),
    "TOKENS": (3,),
    "MASKS_OF": (5,),
}
NO_PROPOSALS: dict[str, Any] = {"MASKS_OF": (0, 0, 0)}
SECTIONS = {
    "sources": {"regions": {}},
    "heat_sources": {"weak": {}},
    "fuse_scores": {"pool_masks": True},
    "evaluate_masks": {"unit": "expression", "comparison": ">=", "precision_at": [0.5], "histogram_bins": 4},
}


def _make(folder: Path, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The project's parameters; the split has the form."""
    for name, value in form.items():
        monkeypatch.setattr(f"tests.fusion.small_split.{name}", value)
    make_project(folder, [f"the thing {index}" for index in range(len(form.get("IMAGE_OF", range(6))))])
    return {**read_params(folder / "params.yaml"), **SECTIONS}


@pytest.mark.parametrize(
    ("form", "expected", "said"),
    [
        (NO_MASKS, {"mIoU": None, "Pr@0.5": None, "N-acc": None, "n_evaluated": 0}, "val: 0 of 6 expressions"),
        (NO_TARGETS, {"mIoU": 1 / 5, "Pr@0.5": None, "N-acc": 1 / 5, "T-acc": None}, "20.00 of 5 no-target sentences"),
        (ONE_SENTENCE, {"oracle": {"mIoU": 1.0}, "N-acc": None, "T-acc": None, "n_evaluated": 1}, "val: 1 expression,"),
        (NO_PROPOSALS, {"mIoU": 1 / 5, "oIoU": 0.0, "Pr@0.5": 0.0, "N-acc": 1.0, "T-acc": 0.0}, "no candidate mask"),
        ({**NO_MASKS, **NO_PROPOSALS}, {"mIoU": None, "oIoU": None, "n_evaluated": 0}, "no candidate mask"),
    ],
    ids=["no masks", "no targets", "one sentence", "no proposals", "neither"],
)
def test_every_stage_ends_with_what_there_is(
    form: dict[str, Any], expected: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = _make(tmp_path, form, monkeypatch)
    rows = read_rows(params)
    results = read_results(rows.splits, rows.methods, tmp_path)
    found = results["val"]["ds"]
    assert {name: found.get(name, "absent") for name in expected} == expected
    screen = io.StringIO()
    print_table(results, {}, Console(file=screen, width=200))
    settings = parse_section(RenderReportSettings, REPORT, "render_report")
    report = gather_report(tmp_path, rows, results, settings, parameters="", progress=lambda steps, _: steps)
    page = render_page(report)
    assert said in screen.getvalue()
    assert report.splits[0].gallery.cases
    assert not re.search(r"\b(nan|None)\b", screen.getvalue() + PageReader(page).text)
    assert ("<polyline" in page) == (found["Pr@0.5"] is not None)


@pytest.mark.parametrize(
    ("form", "metric", "refused"),
    [
        (NO_MASKS, "mIoU", "splits.val: no sentence has a true mask"),
        (NO_TARGETS, "Pr@0.5", "--metric Pr@0.5: has no value on val"),
        (NO_TARGETS, "mIoU", None),
        (NO_TARGETS, "Pr@0.55", "other X of Pr@X belong in evaluate_masks.precision_at"),
        (ONE_SENTENCE, "Pr@0.5", None),
        (NO_PROPOSALS, "mIoU", None),
    ],
)
def test_a_sweep_without_anything_to_measure_is_refused(
    form: dict[str, Any], metric: str, refused: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = _make(tmp_path, form, monkeypatch)
    axes = [parse_axis("beta=0,1")]
    arguments: dict[str, Any] = {"split": "val", "report_split": None, "metric": metric}

    def sweep() -> float | None:
        result = sweep_method(
            params, "ds", axes, make_grid(axes), progress=lambda steps, _: steps, root=tmp_path, **arguments
        )
        return result.metrics[result.best][metric]

    if refused is None:
        assert sweep() is not None
    else:
        with pytest.raises(ParameterError, match=refused):
            sweep()


def test_a_sweep_is_not_reported_on_a_split_without_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = _make(tmp_path / "own", NO_MASKS, monkeypatch)
    monkeypatch.undo()
    make_project(tmp_path / "whole")
    (tmp_path / "whole/artifacts/own").symlink_to(tmp_path / "own/artifacts/val")
    params["splits"]["own"] = params["splits"]["val"]
    axes = [parse_axis("beta=0,1")]
    with pytest.raises(ParameterError, match=r"splits\.own: no sentence has a true mask"):
        sweep_method(
            params,
            "ds",
            axes,
            make_grid(axes),
            split="val",
            report_split="own",
            metric="mIoU",
            progress=lambda _, total: pytest.fail(f"{total} steps are measured before it is refused"),
            root=tmp_path / "whole",
        )
