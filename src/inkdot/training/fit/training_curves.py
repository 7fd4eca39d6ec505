"""The curves of a run as one image that any browser opens."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

Rows = Sequence[Mapping[str, float | None]]

_WIDE, _TALL, _LEFT, _TOP = 420, 230, 76, 34
_COLOURS = ("#0b57d0", "#b3261e", "#146c2e", "#8a4fff", "#b26a00", "#006a6a", "#6b6b6b")
_LEGEND_LINE = 16


class _Panel(NamedTuple):
    title: str
    columns: Sequence[str]


def curves_svg(rows: Rows, prefix: str, best_epoch: int) -> str:
    """Losses, metrics of tiles or slides and of their patients with intervals, and the learning rate over the epochs.

    Args:
        rows: The rows of ``metrics.csv``.
        prefix: What stands before the names of metrics on the validation tiles.
        best_epoch: Marked by a line, from 1.
    """
    names = list(rows[0])
    panels = [
        _Panel(
            "Loss", [n for n in names if n in {"train_loss", f"{prefix}loss", f"{prefix}calibrated_loss"}]
        ),
        _Panel("AUC on validation data, 95 % interval shaded", _with_interval(f"{prefix}auc.", names)),
        _Panel("Learning rate", ["learning_rate"]),
    ]
    if of_patients := _with_interval(f"{prefix}patient_", names):
        panels.insert(2, _Panel("Validation patients, 95 % interval shaded", of_patients))
    tall = _TALL + 2 * _TOP + _LEGEND_LINE * max(len(panel.columns) for panel in panels)
    wide = len(panels) * (_WIDE + _LEFT + 12)
    drawn = [
        f'<g transform="translate({index * (_WIDE + _LEFT + 12)} 0)">{_drawn(panel, rows, best_epoch)}</g>'
        for index, panel in enumerate(panels)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="Curves of {len(rows)} epochs">\n'
        f'<rect width="{wide}" height="{tall}" fill="#fff"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _with_interval(start: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if name.startswith(start) and f"{name}.low" in names]


def _drawn(panel: _Panel, rows: Rows, best_epoch: int) -> str:
    shown = [
        value
        for row in rows
        for name in panel.columns
        for value in (row[name], row.get(f"{name}.low"), row.get(f"{name}.high"))
        if value is not None
    ]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    if panel.title == "Loss":
        low = min(low, 0.0)
    spread = (high - low) or abs(high) or 1.0
    last = max(2, int(rows[-1]["epoch"] or 0))

    def x(row: Mapping[str, float | None]) -> float:
        return _LEFT + ((row["epoch"] or 1) - 1) / (last - 1) * _WIDE

    def y(value: float) -> float:
        return _TOP + (low + spread - value) / spread * _TALL

    parts = [
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(panel.title)}</text>',
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDE}" height="{_TALL}" fill="none" stroke="#888"/>',
        *(
            f'<text x="{_LEFT - 4}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
            for value in (low, low + spread / 2, low + spread)
        ),
        *(
            f'<text x="{place}" y="{_TOP + _TALL + 16}" text-anchor="middle">{epoch}</text>'
            for place, epoch in ((_LEFT, 1), (_LEFT + _WIDE, last))
        ),
        f'<path d="M{x(rows[best_epoch - 1]):.1f} {_TOP}v{_TALL}" stroke="#888" stroke-dasharray="4"/>',
    ]
    for index, name in enumerate(panel.columns):
        colour = _COLOURS[index % len(_COLOURS)]
        known = [(x(row), y(value), row) for row in rows if (value := row[name]) is not None]
        bands = [
            (place, y(low_), y(high_))
            for place, _, row in known
            if (low_ := row.get(f"{name}.low")) is not None and (high_ := row.get(f"{name}.high")) is not None
        ]
        if bands:
            outline = [(place, upper) for place, _, upper in bands] + [
                (p, lower) for p, lower, _ in bands[::-1]
            ]
            parts.append(f'<polygon points="{_points(outline)}" fill="{colour}" fill-opacity=".12"/>')
        places = [(place, height) for place, height, _ in known]
        parts.append(f'<polyline points="{_points(places)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2" fill="{colour}"/>' for a, b in places]
        at = _TOP + _TALL + 20 + _LEGEND_LINE * (index + 1)
        parts.append(f'<path d="M{_LEFT} {at - 4}h18" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{_LEFT + 24}" y="{at}">{escape(name)}</text>')
    best = f"epoch; the dashed line is epoch {best_epoch}, the best"
    parts.append(f'<text x="{_LEFT + _WIDE / 2}" y="{_TOP + _TALL + 16}" text-anchor="middle">{best}</text>')
    return "".join(parts)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
