from pathlib import Path

import pytest

from refdiff.errors import ParameterError
from refdiff.params import parse_section, read_section
from refdiff.report.settings import RenderReportSettings
from tests.report.small_project import REPORT


def test_the_shipped_section_is_valid() -> None:
    demo = Path(__file__).parents[2] / "refdiff/presets/demo.yaml"
    settings = read_section(RenderReportSettings, "render_report", demo)
    assert settings.gallery.best > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, r"render_report.seed: .*greater than or equal to 0, got -1"),
        ({"image_format": "png"}, r"render_report.image_format: .*one of webp, jpeg, got 'png'"),
        ({"thumbnail_px": 5000}, r"render_report.thumbnail_px: .*2048"),
        ({"gallery": {"best": 1, "worst": 1}}, r"render_report.gallery.random: missing"),
        ({"colour": "red"}, r"render_report.colour: unknown parameter"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_section(RenderReportSettings, {**REPORT, **change}, "render_report")
