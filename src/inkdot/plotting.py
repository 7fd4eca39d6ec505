"""Plots as SVG: one style for reports and training curves, the same bytes for the same numbers.

Matplotlib takes a third of a second to import, so only the functions here import it.
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = ("#0b57d0", "#b3261e", "#146c2e", "#7b4397", "#8a5000")
"""In the order of the lines of one plot. Each has a contrast of at least 4.5 : 1 on white."""

MARK_COLOUR: Final = COLOURS[1]
GREY: Final = "#6b6b70"

_STYLE: Final[dict[str, object]] = {
    "svg.hashsalt": "inkdot",  # the names of clip paths are random without it
    "svg.fonttype": "none",  # text stays text: small files that can be searched
    "text.parse_math": False,  # a "$" in a class or slide name is no formula
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],  # the first comes with Matplotlib
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e7",
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "#1d1d1f",
    "ytick.labelcolor": "#1d1d1f",
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.constrained_layout.use": True,
}


@contextmanager
def style() -> Generator[None]:
    """Apply the style of Inkdot's plots, whatever the user's own ``matplotlibrc`` says; draw and save inside of it."""
    import matplotlib.style

    own = {**_STYLE, "axes.prop_cycle": f"cycler(color={list(COLOURS)!r})"}
    with matplotlib.style.context(["default", own]):
        yield


def subplots(
    rows: int = 1, columns: int = 1, *, width: float = 4.0, height: float = 3.4
) -> tuple[Figure, list[Axes]]:
    """An empty figure and its axes, row by row; call it inside of :func:`style`.

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        width: Of one pair of axes, in inches (72 px of the SVG).
        height: Of one pair of axes, in inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows))
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def whole_ticks(axes: Axes) -> None:
    """Put the ticks of the x axis at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def svg(figure: Figure) -> str:
    """The figure as one ``<svg>`` element without date, program name or document type; text is escaped.

    It is a file of its own, or the content of a ``data:`` address.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with style():
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def font_files(family: str = "") -> list[Path]:
    """The TrueType fonts that come with Matplotlib, on every system the same.

    Args:
        family: Start of the file names, such as ``DejaVuSans``; blank for all, one of which has a box for every sign.
    """
    import matplotlib

    return sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob(f"{family}*.ttf"))
