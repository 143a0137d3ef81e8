"""What DVC itself shows of the reports, by its own commands on the shipped dvc.yaml."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.pipeline.project import SOURCE, Project
from tests.report.small_project import METHODS, make_params, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A split with reports of three methods, in a git and DVC repository."""
    root = make_project(tmp_path_factory.mktemp("shown"))
    for name in ("dvc.yaml", ".gitignore", ".dvcignore", ".dvc/config"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy2(SOURCE / name, root / name)
    shipped = yaml.safe_load((SOURCE / "refdiff/presets/demo.yaml").read_text(encoding="utf-8"))
    (root / "params.yaml").write_text(yaml.safe_dump({**shipped, **make_params()}, sort_keys=False), encoding="utf-8")
    (root / "data/refcoco").mkdir(parents=True)
    (root / "data/refcoco/instances.json").write_text("{}", encoding="utf-8")
    project = Project(root)
    project.run("git", "init", "-q")
    return project


def _dvc(project: Project, *arguments: str) -> str:
    return project.run(sys.executable, "-m", "dvc", *arguments).stdout


def _file(method: str, name: str) -> str:
    return str(Path("reports/val", method, name))


def test_metrics_are_figures(project: Project) -> None:
    shown = json.loads(_dvc(project, "metrics", "show", "--json"))[""]["data"]
    assert set(shown) == {_file(name, "metrics.json") for name in METHODS}
    for each in shown.values():
        figures = each["data"]
        assert 0 < figures["chance"]["mIoU"] <= figures["oracle"]["mIoU"]
        flat = [
            value for entry in figures.values() for value in (entry.values() if isinstance(entry, dict) else [entry])
        ]
        assert all(isinstance(value, int | float) for value in flat)
        assert len(flat) <= 12


def test_curves_are_drawn(project: Project) -> None:
    shown = json.loads(_dvc(project, "plots", "show", "--json"))["data"]
    assert set(shown) == {_file(name, "curves.json") for name in METHODS}
    for name, (plot,) in ((name, shown[_file(name, "curves.json")]) for name in METHODS):
        content = plot["content"]
        drawn = [(point["threshold"], point["precision"]) for point in content["data"]["values"]]
        written = json.loads((project.root / _file(name, "curves.json")).read_text(encoding="utf-8"))
        assert drawn == [(point["threshold"], point["precision"]) for point in written]
        assert content["title"]["text"] == f"Pr@X of {name} on val"


def test_data_that_git_ignores_can_be_given_to_dvc(project: Project) -> None:
    assert not project.run("git", "status", "--short", "-uall", "data").stdout.count("refcoco/")
    _dvc(project, "add", "data/refcoco")
    assert "data/refcoco.dvc" in _dvc(project, "dag")
