"""Loss curves of the trainings as one SVG picture."""

from collections.abc import Mapping
from html import escape

_COLOURS = {"vae": "#0072b2", "unet": "#d55e00", "clip": "#009e73"}
_WIDTH, _HEIGHT, _MARGIN = 720, 220, 46


def draw_loss_curves(rows: Mapping[tuple[str, int], float]) -> str:
    """One panel per model, one below the other; loss against step.

    Args:
        rows: Mean loss of each logged (model, step).
    """
    names = list(dict.fromkeys(name for name, _ in rows))
    panels = []
    for place, name in enumerate(names):
        points = sorted((step, loss) for (model, step), loss in rows.items() if model == name)
        panels.append(_panel(name, points, place * _HEIGHT))
    height = _HEIGHT * max(len(names), 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{_WIDTH}" height="{height}" fill="white"/>{"".join(panels)}</svg>\n'
    )


def _panel(name: str, points: list[tuple[int, float]], top: int) -> str:
    last = max(step for step, _ in points)
    most = max(loss for _, loss in points)
    across, down = _WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN
    line = " ".join(
        f"{_MARGIN + across * step / last:.1f},{top + _MARGIN + down * (1 - loss / most):.1f}" for step, loss in points
    )
    bottom = top + _HEIGHT - _MARGIN
    colour = _COLOURS.get(name, "#444444")
    return (
        f'<text x="{_MARGIN}" y="{top + _MARGIN - 14}" font-weight="bold">{escape(name)}: loss by step</text>'
        f'<path d="M{_MARGIN} {top + _MARGIN}V{bottom}H{_WIDTH - _MARGIN}" fill="none" stroke="#888888"/>'
        f'<text x="{_MARGIN - 6}" y="{top + _MARGIN + 4}" text-anchor="end">{most:.2f}</text>'
        f'<text x="{_MARGIN - 6}" y="{bottom}" text-anchor="end">0</text>'
        f'<text x="{_WIDTH - _MARGIN}" y="{bottom + 16}" text-anchor="end">{last}</text>'
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    )
