import xml.etree.ElementTree as ET

import pytest

from refdiff.report.curves import HEIGHT, SERIES, WIDTH, Line, draw_curves, draw_range, precision_lines

LEVELS = [0.0, 0.5, 1.0]
CURVE = {"thresholds": LEVELS, "precision": {"method": [1.0, 0.4, 0.1], "chance": [1.0, 0.1, 0.0], "oracle": [1, 1, 1]}}
NONE = {"thresholds": LEVELS, "precision": {"method": [None] * 3, "chance": [None] * 3, "oracle": [None] * 3}}


def test_a_line_per_method_and_two_for_the_bounds() -> None:
    lines = precision_lines({"gs": CURVE, "ds": CURVE}, "ds")
    assert [line.name for line in lines] == ["oracle (candidates of ds)", "chance (candidates of ds)", "gs", "ds"]
    assert lines[2].look != lines[3].look
    assert precision_lines({"gs": CURVE}, None)[0].name == "gs"


def test_a_split_without_truth_has_no_lines() -> None:
    assert precision_lines({"gs": NONE}, None) == []


def test_every_one_of_many_methods_has_a_look() -> None:
    looks = [line.look for line in precision_lines({f"m{i}": CURVE for i in range(SERIES + 1)}, None)]
    assert len(set(looks)) == SERIES
    assert looks[0] == looks[-1]


def test_the_chart_is_whole_xml_with_its_points_inside() -> None:
    lines = [Line('a"<b>&', "series-0", LEVELS, [1.0, 0.4, 0.1], False)]
    root = ET.fromstring(draw_curves(lines, 'Pr@X of "<val>"'))
    polyline = next(part for part in root.iter() if part.tag == "polyline")
    points = [tuple(map(float, point.split(","))) for point in str(polyline.get("points")).split()]
    assert len(points) == 3
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert points[0][1] < points[1][1] < points[2][1], "a falling share goes down"
    titles = [part.text for part in root.iter() if part.tag == "title"]
    assert 'a"<b>&: Pr@0.5 = 40.0 %' in titles
    assert root.get("aria-label") == 'Pr@X of "<val>"'


@pytest.mark.parametrize("values", [(0.1, 0.5, 0.9), (0.0, 0.0, 0.0), (0.6, 0.2, 1.0)])
def test_a_range_shows_the_three_values(values: tuple[float, float, float]) -> None:
    root = ET.fromstring(draw_range(*values))
    circle = next(part for part in root.iter() if part.tag == "circle")
    assert float(circle.get("cx", "nan")) == pytest.approx(4 + 112 * values[1], abs=0.06)
    assert f"{100 * values[0]:.1f}" in str(root.get("aria-label"))
