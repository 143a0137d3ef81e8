from pathlib import Path

import pytest

from refdiff.evaluation.table import read_results
from refdiff.params import parse_section, read_params
from refdiff.report.content import Report
from refdiff.report.gather import gather_report, read_rows
from refdiff.report.settings import RenderReportSettings
from tests.report.small_project import REPORT, make_project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of six hostile sentences on three photos, three methods; read only."""
    return make_project(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def report(project: Path) -> Report:
    rows = read_rows(read_params(project / "params.yaml"))
    return gather_report(
        project,
        rows,
        read_results(rows.splits, rows.methods, project),
        parse_section(RenderReportSettings, REPORT, "render_report"),
        parameters="splits: <script>x</script>",
        progress=lambda steps, _: steps,
    )
