"""Plot of `active_learning_rounds.py`: one panel per metric, one line per query strategy, with intervals.

    python experiments/active_learning_plot.py POINTS.csv PLOT.svg

draws recorded points again, without the experiment: those of the documents are `docs/images/query-rounds.csv`.
"""
# pyright: basic

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from inkdot import plotting

METRICS = {
    "selftest_cluster_auc": "Clusters",
    "selftest_slide_auc": "Slides, by their highest cluster",
}
STRATEGIES = {"next": "chosen by inkdot review next", "random": "drawn at random"}
_LOOKS = {"next": "o-", "random": "s--"}
_NOTE = "Synthetic spots, mean of {} seeds, 95 % intervals over patients. No claim about real slides."


class Point(NamedTuple):
    """A metric of a query strategy after a number of verdicts, mean of the seeds, with its interval."""

    metric: str
    strategy: str
    verdicts: int
    value: float
    low: float
    high: float
    seeds: int


def write_points(path: Path, points: Sequence[Point]) -> None:
    """Write the points as CSV, to three decimals."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Point._fields)
        writer.writerows(
            [f"{cell:.3f}" if isinstance(cell, float) else cell for cell in point] for point in points
        )


def read_points(path: Path) -> list[Point]:
    """Read the points that :func:`write_points` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Point(**{name: Point.__annotations__[name](cell) for name, cell in row.items()})
            for row in csv.DictReader(file)
        ]


def plot(points: Sequence[Point]) -> str:
    """Draw an SVG."""
    widest = max(point.verdicts for point in points)
    with plotting.style():
        figure, axes = plotting.subplots(1, len(METRICS))
        for axis, (metric, title) in zip(axes, METRICS.items(), strict=True):
            for aside, (strategy, label) in zip((-0.01, 0.01), STRATEGIES.items(), strict=True):
                line = [point for point in points if (point.metric, point.strategy) == (metric, strategy)]
                axis.errorbar(
                    [point.verdicts + aside * widest for point in line],  # intervals side by side
                    [point.value for point in line],
                    yerr=[[p.value - p.low for p in line], [p.high - p.value for p in line]],
                    capsize=3,
                    label=label,
                    fmt=_LOOKS[strategy],
                )
            axis.set_xticks(sorted({point.verdicts for point in points}))
            axis.set_title(title)
            axis.set_xlabel("verdicts")
            axis.set_ylabel("AUC")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(STRATEGIES))
        figure.supxlabel(_NOTE.format(points[0].seeds), fontsize=8, color=plotting.GREY)
        return plotting.svg(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw recorded points of the active-learning rounds again.")
    parser.add_argument("points", type=Path, help="CSV of active_learning_rounds.py")
    parser.add_argument("plot", type=Path, help="SVG to write")
    options = parser.parse_args()
    options.plot.write_text(plot(read_points(options.points)), encoding="utf-8")
