"""The plot of a comparison: differences with their intervals beside the ROC curves."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import TYPE_CHECKING

from inkdot import plotting
from inkdot.evaluation.comparison.comparison import Comparison

if TYPE_CHECKING:
    from inkdot.plotting import Axes

_ROW = 0.34
"""Height of a metric and model, in inches."""


def comparison_svg(comparison: Comparison) -> str:
    """Forest plot of the differences from the first model, and the ROC curve of each, as an ``<svg>`` element."""
    models, metrics = len(comparison.tables) - 1, len(comparison.metrics)
    with plotting.style():
        height = max(3.8, 1.2 + _ROW * metrics * models)
        figure, (differences, curves) = plotting.subplots(1, 2, width=5.2, height=height)
        _draw_differences(differences, comparison)
        _draw_curves(curves, comparison)
        return plotting.svg(figure)


def _draw_differences(axes: Axes, comparison: Comparison) -> None:
    models = len(comparison.tables) - 1
    axes.axvline(0.0, color=plotting.GREY, linestyle="--", linewidth=1.0)
    for place, metric in enumerate(comparison.metrics):
        for index, own in enumerate(metric.differences):
            if own is None:
                continue
            y = place + (index + 0.5) / models - 0.5 if models > 1 else float(place)
            colour = _colour(index + 1)
            if own.low is not None and own.high is not None:
                axes.plot([own.low, own.high], [y, y], color=colour, linewidth=1.4)
            axes.plot([own.value], [y], marker="o", color=colour)
    names = [
        f"{metric.name}\n(lower is better)" if metric.lower_is_better else metric.name
        for metric in comparison.metrics
    ]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"difference to {comparison.tables[0].name}, 95 % interval")


def _draw_curves(axes: Axes, comparison: Comparison) -> None:
    axes.plot([0, 1], [0, 1], color=plotting.GREY, linestyle="--", linewidth=1.0)
    auc = comparison.metrics[0]
    for index, (table, points) in enumerate(zip(comparison.tables, comparison.curves, strict=True)):
        value = auc.values[index]
        label = table.name if value is None else f"{table.name}: AUC {value}"
        axes.plot([x for x, _ in points], [y for _, y in points], color=_colour(index), label=label)
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower right")


def _colour(index: int) -> str:
    return plotting.COLOURS[index % len(plotting.COLOURS)]
