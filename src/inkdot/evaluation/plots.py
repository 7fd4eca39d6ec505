"""The plots of an evaluation as SVG."""

# pyright: reportUnknownMemberType=false

from inkdot import plotting
from inkdot.evaluation.report import Plot

_MAX_MARKERS = 40
"""A curve of more points is drawn without a marker at each."""

_TICKS = 5


def plot_svg(plot: Plot) -> str:
    """One plot as an ``<svg>`` element; the caption is not part of it."""
    # What lies beyond the right edge is not drawn on it: the curve goes on at its last height.
    inside = [(x, y) for x, y in plot.points if x <= plot.x_max]
    if inside and len(inside) < len(plot.points):
        inside.append((plot.x_max, inside[-1][1]))
    with plotting.style():
        figure, (axes,) = plotting.subplots()
        if plot.diagonal:
            axes.plot([0, plot.x_max], [0, 1], color=plotting.GREY, linestyle="--", linewidth=1.0)
        for x, low, high in plot.intervals:
            axes.plot([x, x], [low, high], color=plotting.COLOURS[0], linewidth=1.0)
        axes.plot(
            [x for x, _ in inside],
            [y for _, y in inside],
            color=plotting.COLOURS[0],
            marker="o" if len(inside) <= _MAX_MARKERS else "",
            clip_on=False,
        )
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
        axes.set(xlabel=plot.x_label, ylabel=plot.y_label, xlim=(0, plot.x_max), ylim=(0, 1.02))
        axes.set_xticks([plot.x_max * tick / (_TICKS - 1) for tick in range(_TICKS)])
        axes.set_yticks([tick / (_TICKS - 1) for tick in range(_TICKS)])
        return plotting.svg(figure)
