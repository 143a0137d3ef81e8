"""A sweep as a picture: for every field that was varied, what each value reached (SVG, no script, no network)."""

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 16, 34, 44
TICKS = 5
STYLE = (
    "text{font:12px sans-serif;fill:#222}.grid{stroke:#ddd}.point{fill:#2563a8;fill-opacity:.35}"
    ".best{fill:none;stroke:#b3400f;stroke-width:2}.picked{fill:none;stroke:#b3400f;stroke-width:2}"
)


def draw_sweep(
    fields: Sequence[str], points: Sequence[Sequence[float]], reached: Sequence[float], metric: str, title: str
) -> str:
    """One panel a field: every weighting as a dot, the best of each value as a line, the best of all circled.

    Args:
        fields: What was varied.
        points: Values of each weighting, in the order of the fields.
        reached: The metric of each weighting, in [0, 1].
        metric: Its name.
        title: Of the picture.
    """
    panels = [
        _draw_panel(number, name, [point[number] for point in points], reached, metric)
        for number, name in enumerate(fields)
    ]
    width = WIDTH * len(fields)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT + 24}" '
        f'viewBox="0 -24 {width} {HEIGHT + 24}" role="img" aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect x="0" y="-24" width="{width}" height="{HEIGHT + 24}" fill="#fff"/>'
        f'<text x="{LEFT}" y="-4" font-weight="bold">{escape(title)}</text>{"".join(panels)}</svg>\n'
    )


def _draw_panel(number: int, name: str, values: Sequence[float], reached: Sequence[float], metric: str) -> str:
    across, down = _Scale(values, LEFT, WIDTH - RIGHT), _Scale(reached, HEIGHT - BOTTOM, TOP)
    shapes = []
    for value in down.ticks():
        y = down.place(value)
        shapes.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        shapes.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * value:.2f}</text>')
    for value in across.ticks():
        label = (
            f'<text x="{across.place(value):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:.4g}</text>'
        )
        shapes.append(label)
    shapes += [
        f'<circle class="point" cx="{across.place(x):.1f}" cy="{down.place(y):.1f}" r="2.5"/>'
        for x, y in zip(values, reached, strict=True)
    ]
    best: dict[float, float] = {}
    for x, y in zip(values, reached, strict=True):
        best[x] = max(y, best.get(x, y))
    if len(best) < len(values) or number == 0:
        line = " ".join(f"{across.place(x):.1f},{down.place(best[x]):.1f}" for x in sorted(best))
        shapes.append(f'<polyline class="best" points="{line}"/>')
    top = max(range(len(reached)), key=lambda index: reached[index])
    shapes.append(
        f'<circle class="picked" cx="{across.place(values[top]):.1f}" cy="{down.place(reached[top]):.1f}" r="6"/>'
    )
    shapes.append(f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(name)}</text>')
    shapes.append(f'<text x="{LEFT}" y="{TOP - 12}">{escape(metric)}, %</text>')
    return f'<g transform="translate({number * WIDTH} 0)">{"".join(shapes)}</g>'


class _Scale:
    """Where values lie between two places of the picture."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        self._low, self._high = min(values), max(values)
        self._first, self._last = first, last

    def place(self, value: float) -> float:
        if self._high == self._low:
            return (self._first + self._last) / 2
        return self._first + (value - self._low) / (self._high - self._low) * (self._last - self._first)

    def ticks(self) -> list[float]:
        if self._high == self._low:
            return [self._low]
        return [self._low + (self._high - self._low) * tick / (TICKS - 1) for tick in range(TICKS)]
