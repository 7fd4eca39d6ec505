"""Plot of `active_learning_rounds.py`: one panel per metric, one line per query strategy, with intervals."""
# pyright: basic

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from inkdot import plotting

STRATEGIES = {"next": "chosen by inkdot review next", "random": "drawn at random"}
_LOOKS = {"next": "o-", "random": "s--"}


class Point(NamedTuple):
    """A metric after a number of verdicts, with its interval."""

    verdicts: int
    value: float
    low: float
    high: float


def plot(panels: Mapping[str, Mapping[str, Sequence[Point]]], note: str) -> str:
    """Draw an SVG.

    Args:
        panels: Points by title, then by query strategy.
        note: Printed below the panels.
    """
    with plotting.style():
        figure, axes = plotting.subplots(1, len(panels))
        for axis, (title, lines) in zip(axes, panels.items(), strict=True):
            for index, (strategy, points) in enumerate(lines.items()):
                verdicts, values, lows, highs = zip(*points, strict=True)
                errors = [
                    [value - low for value, low in zip(values, lows, strict=True)],
                    [high - value for value, high in zip(values, highs, strict=True)],
                ]
                aside = (index - (len(lines) - 1) / 2) * 0.02 * max(verdicts)  # intervals side by side
                axis.errorbar(
                    [count + aside for count in verdicts],
                    values,
                    yerr=errors,
                    capsize=3,
                    label=STRATEGIES[strategy],
                    fmt=_LOOKS[strategy],
                )
                axis.set_xticks(verdicts)
            axis.set_title(title)
            axis.set_xlabel("verdicts")
        axes[0].legend(loc="lower right")
        figure.supxlabel(note, fontsize=8, color=plotting.GREY)
        return plotting.svg(figure)
