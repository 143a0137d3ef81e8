"""What a change re-runs, by what DVC says it ran, on a real DVC repository with a small demo."""

import json
import re
import sys
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.pipeline.project import Project, make_project

METHODS = ["ref-diff", "gs", "ds", "ref-diff-plus", "released"]


def _shrink(params: dict[str, Any]) -> None:
    params["draw_scenes"]["images"] = 6
    assert list(params["methods"]) == METHODS


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small demo, run once from nothing."""
    project = make_project(tmp_path_factory.mktemp("pipeline") / "project", _shrink)
    ran = project.repro()
    assert ran[0] == "draw_scenes"
    assert ran[-1] == "render_report"
    assert {f"fuse_scores@demo_val-{name}" for name in METHODS} <= set(ran)
    return project


def test_nothing_changed_runs_nothing(project: Project) -> None:
    assert project.repro() == []


def test_every_expression_has_a_row_in_every_prediction_table(project: Project) -> None:
    folder = project.root / "artifacts/demo_val"
    expected = pq.read_table(folder / "dataset/expressions.parquet")["expression_id"].to_pylist()
    assert len(expected) > 20
    for name in METHODS:
        assert pq.read_table(folder / name / "predictions.parquet")["expression_id"].to_pylist() == expected
        metrics = json.loads((project.root / f"reports/demo_val/{name}/metrics.json").read_text(encoding="utf-8"))
        assert metrics["n_evaluated"] == len(expected)


def test_a_fusion_weight_reruns_that_method_and_the_report(project: Project) -> None:
    def change(params: dict[str, Any]) -> None:
        params["methods"]["ref-diff-plus"]["beta"] = 0.45

    project.edit(change)
    assert project.repro() == [
        "fuse_scores@demo_val-ref-diff-plus",
        "evaluate_masks@demo_val-ref-diff-plus",
        "render_report",
    ]


def test_the_token_rule_and_the_layers_read_rerun_no_network(project: Project) -> None:
    def change(params: dict[str, Any]) -> None:
        params["readouts"]["paper"] |= {"token_rule": "root_or_subject", "layers": {"map_px": [8]}}

    project.edit(change)
    ran = project.repro()
    assert {"propose_heat_masks@demo_val-weak", "fuse_scores@demo_val-gs", "render_report"} <= set(ran)
    networks = ("extract_attention", "embed_clip", "propose_masks", "parse_text", "prepare_dataset", "draw_scenes")
    assert [name for name in ran if name.startswith(networks)] == []


@pytest.mark.slow
def test_a_comment_in_a_shared_module_computes_nothing_and_a_constant_computes_all(project: Project) -> None:
    photo = project.root / "refdiff/photo.py"
    code = photo.read_text(encoding="utf-8")
    assert (number := "MAX_PIXELS = 89_478_485") in code

    def computed(source: str) -> list[str]:
        photo.write_text(source, encoding="utf-8")
        stages = (("extract_attention", "paper"), ("propose_masks", "regions"), ("embed_clip", "regions"))
        said = [project.run(sys.executable, "-m", f"stages.{name}", "demo_val", row).stdout for name, row in stages]
        return [re.findall(r"(\d+) (?:of them )?computed now", each)[-1] for each in said]

    assert computed(f"# a comment\n{code}\n# another\n") == ["0", "0", "0"]
    assert computed(code.replace(number, "MAX_PIXELS = 89_478_484")) == ["1", "6", "6"]
