import base64
import io

import numpy as np
import pytest
from PIL import Image

from refdiff.params import parse_section
from refdiff.report.settings import RenderReportSettings
from refdiff.report.thumbnail import encode_picture
from tests.report.small_project import REPORT


@pytest.mark.parametrize("name", ["webp", "jpeg"])
def test_a_picture_is_half_as_large_as_its_drawing(name: str) -> None:
    settings = parse_section(RenderReportSettings, {**REPORT, "image_format": name}, "render_report")
    drawn = np.zeros((40, 60, 3), np.uint8)
    drawn[:, 30:] = (200, 100, 0)
    picture = encode_picture(drawn, "two halves", settings)
    head, code = picture.uri.split(",")
    assert head == f"data:image/{name};base64"
    image = Image.open(io.BytesIO(base64.b64decode(code)))
    assert (image.width, image.height) == (picture.width, picture.height) == (30, 20)
    assert image.convert("RGB").getpixel((25, 10)) == pytest.approx((200, 100, 0), abs=8)


def test_a_thin_drawing_keeps_a_pixel() -> None:
    settings = parse_section(RenderReportSettings, REPORT, "render_report")
    picture = encode_picture(np.zeros((200, 1, 3), np.uint8), "a line", settings)
    assert (picture.width, picture.height) == (1, 100)
