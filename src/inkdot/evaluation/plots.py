"""The plots of an evaluation as SVG."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inkdot import plotting
from inkdot.evaluation.report import Plot

if TYPE_CHECKING:
    from inkdot.plotting import Axes

_MAX_MARKERS = 40
"""A curve of more points is drawn without a marker at each."""

_TICKS = 5
_ABOVE = 0.02
"""Share of the y axis above its last tick, so that a curve there is not cut."""


def plot_svg(plot: Plot) -> str:
    """One plot as an ``<svg>`` element; the caption is not part of it."""
    low, high = plot.y_range
    with plotting.style():
        figure, (axes,) = plotting.subplots()
        if plot.diagonal:
            axes.plot([0, plot.x_max], [low, high], color=plotting.GREY, linestyle="--", linewidth=1.0)
        _draw_intervals(axes, plot)
        for index, line in enumerate(plot.lines):
            _draw_line(
                axes, _inside(line.points, plot.x_max), line.label, plotting.COLOURS[index + 1], marker=""
            )
        inside = _inside(plot.points, plot.x_max)
        # What lies below the y axis is cut at its end; a marker there would stand outside of the axes.
        marker = "o" if len(inside) <= _MAX_MARKERS and not plot.lines else ""
        _draw_line(axes, inside, plot.label, plotting.COLOURS[0], marker=marker, clip=bool(plot.lines))
        for x, y in plot.marked:
            axes.plot(
                [x],
                [y],
                marker="o",
                markersize=10,
                markerfacecolor="none",
                markeredgecolor=plotting.MARK_COLOUR,
                markeredgewidth=2.2,
                clip_on=False,
            )
        axes.set(
            xlabel=plot.x_label,
            ylabel=plot.y_label,
            xlim=(0, plot.x_max),
            ylim=(low, high + _ABOVE * (high - low)),
        )
        if plot.x_max >= 1.0:
            axes.set_xticks([plot.x_max * tick / (_TICKS - 1) for tick in range(_TICKS)])
        if plot.y_range == (0.0, 1.0):
            axes.set_yticks([tick / (_TICKS - 1) for tick in range(_TICKS)])
        if plot.lines:
            handles, labels = axes.get_legend_handles_labels()
            axes.legend(handles[::-1], labels[::-1], loc="best")
        return plotting.svg(figure)


def _inside(points: Sequence[tuple[float, float]], x_max: float) -> list[tuple[float, float]]:
    """What lies beyond the right edge is not drawn on it: the curve goes on at its last height."""
    inside = [(x, y) for x, y in points if x <= x_max]
    if inside and len(inside) < len(points):
        inside.append((x_max, inside[-1][1]))
    return inside


def _draw_line(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    label: str,
    colour: str,
    *,
    marker: str,
    clip: bool = True,
) -> None:
    axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        color=colour,
        marker=marker,
        clip_on=clip,
        label=label or None,
    )


def _draw_intervals(axes: Axes, plot: Plot) -> None:
    if plot.band:
        axes.fill_between(
            [x for x, _, _ in plot.intervals],
            [low for _, low, _ in plot.intervals],
            [high for _, _, high in plot.intervals],
            color=plotting.COLOURS[0],
            alpha=0.15,
            linewidth=0,
        )
        return
    for x, low, high in plot.intervals:
        axes.plot([x, x], [low, high], color=plotting.COLOURS[0], linewidth=1.0)
