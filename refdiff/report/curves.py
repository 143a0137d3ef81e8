"""Curves as SVG of one's own: no script, colours from the page's style, so that dark mode reaches them.

Lines differ in colour and in dash; the page's style defines `series-0` to `series-7` (see page.css).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from refdiff.evaluation.table import SHOWN_PRECISIONS

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 34, 44
SERIES = 8
"""Looks that lines can have; a ninth line has the first one's again."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        name: For the legend.
        look: CSS class.
        levels: Values along the x axis, in [0, 1].
        shares: Values along the y axis, in [0, 1].
        is_reference: Drawn thin and without points.
    """

    name: str
    look: str
    levels: Sequence[float]
    shares: Sequence[float]
    is_reference: bool


def precision_lines(curves: Mapping[str, Mapping[str, Any]], reference: str | None) -> list[Line]:
    """Pr@X of every method, and chance and oracle of the candidates of the method `reference`.

    Args:
        curves: curves.json of each method.
        reference: None draws neither.
    """
    lines = [
        Line(name, f"series-{place % SERIES}", each["thresholds"], each["precision"]["method"], False)
        for place, (name, each) in enumerate(curves.items())
        if None not in each["precision"]["method"]
    ]
    if reference is None or not lines:
        return lines
    bounds = [
        Line(
            f"{bound} (candidates of {reference})",
            "series-reference",
            curves[reference]["thresholds"],
            curves[reference]["precision"][bound],
            True,
        )
        for bound in ("oracle", "chance")
    ]
    return [*bounds, *lines]


def draw_curves(lines: Sequence[Line], title: str) -> str:
    """The chart as an `<svg>` element.

    Args:
        lines: Drawn in this order, the last on top.
        title: What the chart shows, for people who do not see it.
    """
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        *_axes(),
        *(_draw_line(line) for line in lines),
        "</svg>",
    ]
    return "".join(parts)


def draw_range(chance: float, own: float, oracle: float) -> str:
    """A small picture of where a method's mIoU lies between chance and the oracle."""
    low, high, at = (round(4 + 112 * _clip(value), 1) for value in (chance, oracle, own))
    label = f"mIoU {100 * own:.1f} between chance {100 * chance:.1f} and oracle {100 * oracle:.1f}"
    return (
        f'<svg class="range" viewBox="0 0 120 16" role="img" aria-label="{label}"><title>{label}</title>'
        '<line class="range-track" x1="4" x2="116" y1="8" y2="8"/>'
        f'<line class="range-span" x1="{low}" x2="{high}" y1="8" y2="8"/>'
        f'<line class="range-end" x1="{low}" x2="{low}" y1="4" y2="12"/>'
        f'<line class="range-end" x1="{high}" x2="{high}" y1="4" y2="12"/>'
        f'<circle class="range-own" cx="{at}" cy="8" r="4.5"/></svg>'
    )


def _axes() -> list[str]:
    parts = []
    for step in range(6):
        share = step / 5
        y = _y(share)
        kind = "axis" if step == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{round(100 * share)}</text>')
    for step in range(11):
        x = _x(step / 10)
        label = "0" if step == 0 else "1" if step == 10 else f".{step}"
        parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{_y(0)}" y2="{_y(0) + 4}"/>')
        parts.append(f'<text class="tick" x="{x}" y="{_y(0) + 17}" text-anchor="middle">{label}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="axis-name" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">IoU threshold X</text>')
    parts.append(f'<text class="axis-name" x="{LEFT - 30}" y="16">Pr@X, % of sentences</text>')
    return parts


def _draw_line(line: Line) -> str:
    points = " ".join(f"{_x(level)},{_y(share)}" for level, share in zip(line.levels, line.shares, strict=True))
    kind = f"line {line.look}"
    drawn = f'<polyline class="{kind}" points="{points}"><title>{escape(line.name)}</title></polyline>'
    if line.is_reference:
        return drawn
    shares = dict(zip(line.levels, line.shares, strict=True))
    dots = (
        f'<circle class="dot {line.look}" cx="{_x(level)}" cy="{_y(shares[level])}" r="3.2">'
        f"<title>{escape(line.name)}: Pr@{level:g} = {100 * shares[level]:.1f} %</title></circle>"
        for level in SHOWN_PRECISIONS
        if level in shares
    )
    return drawn + "".join(dots)


def _x(level: float) -> float:
    return round(LEFT + _clip(level) * (WIDTH - LEFT - RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - _clip(share) * (HEIGHT - TOP - BOTTOM), 1)


def _clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)
