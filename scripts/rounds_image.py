"""Draws what `asking_rounds.py` found: one panel per metric, one line per way of asking, with intervals."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDE, TALL, LEFT, TOP, GAP = 330, 230, 58, 74, 46

# Okabe and Ito's colours, and another mark and dash each: told apart without colours too.
LOOKS = {"next": ("#0072B2", "", "circle"), "random": ("#D55E00", "6 4", "square")}
WORDS = {
    "next": "chosen by inkdot review next",
    "random": "drawn at random",
}


class Point(NamedTuple):
    """A metric after so many answers, with its interval."""

    answers: int
    value: float
    low: float
    high: float


def image(panels: Mapping[str, Mapping[str, Sequence[Point]]], note: str) -> str:
    """An SVG.

    Args:
        panels: By title, then by way of asking.
        note: What must be said with the metrics.
    """
    width, height = LEFT + len(panels) * (WIDE + GAP + 12), TOP + TALL + 76
    ways = list(next(iter(panels.values())))
    parts = [_legend(ways)]
    for index, (title, lines) in enumerate(panels.items()):
        parts.append(
            f'<g transform="translate({LEFT + index * (WIDE + GAP + 12)} {TOP})">{_panel(title, lines)}</g>'
        )
    said = "; ".join(
        f"{title}, {WORDS[way]}: {points[-1].value:.3f} after {points[-1].answers} answers"
        for title, lines in panels.items()
        for way, points in lines.items()
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="{escape(said)}">\n'
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n"
        f'<text x="{LEFT}" y="{height - 8}" fill="#555" font-size="12">{escape(note)}</text>\n</svg>\n'
    )


def _legend(ways: Sequence[str]) -> str:
    parts: list[str] = []
    for index, way in enumerate(ways):
        colour, dash, _ = LOOKS[way]
        x = LEFT + index * 270
        parts.append(
            f'<path d="M{x} 20h34" stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dash}"/>'
            f'{_mark(way, x + 17, 20)}<text x="{x + 44}" y="25">{escape(WORDS[way])}</text>'
        )
    return "".join(parts)


def _panel(title: str, lines: Mapping[str, Sequence[Point]]) -> str:
    points = [point for own in lines.values() for point in own]
    low = int(min(point.low for point in points) * 20) / 20
    high = min(1.0, (int(max(point.high for point in points) * 20) + 1) / 20)
    most = max(point.answers for point in points)

    def x(answers: float) -> float:
        return 14 + answers / most * (WIDE - 28)

    def y(value: float) -> float:
        return TALL - (value - low) / (high - low) * TALL

    parts = [f'<text x="0" y="-14" font-weight="600">{escape(title)}</text>']
    step = 0.05 if high - low <= 0.3 else 0.1
    ticks = [low + step * number for number in range(round((high - low) / step) + 1)]
    for tick in ticks:
        parts.append(
            f'<path d="M0 {y(tick):.1f}h{WIDE}" stroke="#ddd"/>'
            f'<text x="-8" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.2f}</text>'
        )
    for answers in sorted({point.answers for point in points}):
        parts.append(f'<text x="{x(answers):.1f}" y="{TALL + 20}" text-anchor="middle">{answers}</text>')
    parts.append(f'<text x="{WIDE / 2}" y="{TALL + 38}" text-anchor="middle">answers</text>')
    for index, (way, own) in enumerate(lines.items()):
        aside = (index - (len(lines) - 1) / 2) * 7  # intervals stand side by side
        parts.append(_line(way, [(x(p.answers) + aside, y(p.value), y(p.low), y(p.high)) for p in own]))
    return "".join(parts)


def _line(way: str, points: Sequence[tuple[float, float, float, float]]) -> str:
    colour, dash, _ = LOOKS[way]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
    bars = "".join(
        f'<path d="M{x:.1f} {low:.1f}V{high:.1f}m-4 0h8M{x - 4:.1f} {low:.1f}h8" stroke="{colour}" fill="none"/>'
        for x, _, low, high in points
    )
    marks = "".join(_mark(way, x, y) for x, y, _, _ in points)
    line = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dash}"/>'
    return bars + line + marks


def _mark(way: str, x: float, y: float) -> str:
    colour, _, shape = LOOKS[way]
    style = f'fill="{colour}" stroke="#fff" stroke-width="1.5"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" {style}/>'
    return f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" {style}/>'
