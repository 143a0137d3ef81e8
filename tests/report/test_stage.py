import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.html_reader import PageReader
from tests.report.small_project import make_params, make_project, write_params

ROOT = Path(__file__).parents[2]


def _run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.render_report"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "140"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("stage"))


def test_the_stage_writes_the_page_and_prints_the_table(folder: Path) -> None:
    result = _run(folder)
    assert result.returncode == 0, result.stderr
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert PageReader(page).faults == []
    assert "readouts:" in page, "the parameters as they were"
    assert "ref-diff" in result.stdout
    assert "mIoU" in result.stdout
    assert result.stdout.strip().splitlines()[-1].startswith("report.html: ")
    assert not list(folder.glob("*.partial"))


def test_a_wrong_parameter_is_one_line_and_exit_code_2(folder: Path) -> None:
    params = make_params()
    write_params(folder, {**params, "render_report": {**params["render_report"], "seed": "one"}})
    result = _run(folder)
    assert result.returncode == 2
    assert result.stderr.startswith("error: render_report.seed: ")
    assert len(result.stderr.strip().splitlines()) == 1
