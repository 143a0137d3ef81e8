"""Stage render_report: one HTML page over all splits and methods."""

from pathlib import Path

from refdiff.checking.start import start_stage
from refdiff.command import run_command
from refdiff.evaluation.table import print_table, read_results
from refdiff.layout import PAGE
from refdiff.params import PARAMS_FILE, parse_section
from refdiff.progress import tracker
from refdiff.report.gather import gather_report, read_rows
from refdiff.report.page import render_page
from refdiff.report.settings import RenderReportSettings
from refdiff.whole_file import write_whole


def main() -> None:
    """Run the stage for every split and method of params.yaml."""
    _, params = start_stage("render_report", __doc__)
    rows = read_rows(params)
    settings = parse_section(RenderReportSettings, params["render_report"], "render_report")
    results = read_results(rows.splits, rows.methods)
    parameters = PARAMS_FILE.read_text(encoding="utf-8")
    progress = tracker("render_report", "splits")
    report = gather_report(Path(), rows, results, settings, parameters=parameters, progress=progress)
    page = render_page(report).encode("utf-8", errors="replace")
    write_whole(PAGE, page)
    print_table(results, {name: row.get("benchmark") for name, row in rows.splits.items()})
    print(f"{PAGE}: {len(page) / 1e6:.1f} MB, open it in a browser")


if __name__ == "__main__":
    run_command(main)
