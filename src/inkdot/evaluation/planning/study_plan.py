"""The answer of ``inkdot plan``: a table, a plot and what was assumed; as JSON, HTML, SVG or PNG."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from inkdot import plotting
from inkdot.errors import UserError
from inkdot.evaluation.html_page import data_uri, html_page

if TYPE_CHECKING:
    from inkdot.plotting import Figure

P = ParamSpec("P")
T = TypeVar("T")

Cell = str | int | float | None
"""A cell of the table; None where there is no number that would do."""


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One line of the plot."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """How large a study must be.

    Attributes:
        title: The question.
        answer: The number, in one sentence.
        inputs: What was asked, for the JSON.
        columns: Header of the table.
        rows: The table.
        notes: Assumptions, method and source, one line each.
        x_label: Of the plot.
        y_label: Of the plot.
        lines: Of the plot.
        target: What is asked, a horizontal line of the plot; None for none.
    """

    title: str
    answer: str
    inputs: Mapping[str, object]
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    notes: Sequence[str]
    x_label: str
    y_label: str
    lines: Sequence[PlanLine] = field(default_factory=list[PlanLine])
    target: float | None = None


def cell_text(cell: Cell) -> str:
    """A cell as shown: numbers with thousands separated, shares to three places."""
    if cell is None:
        return "none suffices"
    if isinstance(cell, float):
        return f"{cell:.3f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def plan_json(plan: StudyPlan) -> str:
    """Inputs, table and notes; the rows by column."""
    rows = [dict(zip(plan.columns, row, strict=True)) for row in plan.rows]
    facts = {
        "title": plan.title, "answer": plan.answer, "inputs": dict(plan.inputs), "rows": rows,
        "notes": list(plan.notes), "plot": [asdict(line) for line in plan.lines],
    }  # fmt: skip
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def plan_svg(plan: StudyPlan) -> str:
    """The plot as an ``<svg>`` element."""
    with plotting.style():
        return plotting.svg(_figure(plan))


def plan_png(plan: StudyPlan) -> bytes:
    """The plot as PNG, 150 dots per inch."""
    buffer = io.BytesIO()
    with plotting.style():
        _figure(plan).savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def plan_html(plan: StudyPlan) -> str:
    """Table, plot and notes as one page that loads nothing."""
    return html_page(
        "plan.html",
        plan.title,
        plan=plan,
        rows=[[cell_text(cell) for cell in row] for row in plan.rows],
        plot=data_uri("svg+xml", plan_svg(plan).encode()),
    )


def _figure(plan: StudyPlan) -> Figure:
    figure, (axes,) = plotting.subplots(width=5.6, height=3.6)
    if plan.target is not None:
        axes.axhline(plan.target, color=plotting.GREY, linestyle="--", linewidth=1.0, label="asked")
    for index, line in enumerate(plan.lines):
        colour = plotting.COLOURS[index % len(plotting.COLOURS)]
        axes.plot(line.x, line.y, color=colour, label=line.label, marker="o" if len(line.x) <= 12 else None)
    axes.set(xlabel=plan.x_label, ylabel=plan.y_label)
    axes.set_xlim(left=0)
    plotting.whole_ticks(axes)  # there is no half patient
    if plan.target is not None:
        axes.legend()
    return figure


def asked(question: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """The answer of a function of numbers; an argument outside of its range is the user's error.

    Raises:
        UserError: The function raised ValueError.
    """
    try:
        return question(*arguments, **named)
    except ValueError as error:
        raise UserError(str(error)) from None


def given_inputs(**given: object) -> dict[str, object]:
    """The inputs that are not None, for :attr:`StudyPlan.inputs`."""
    return {name: value for name, value in given.items() if value is not None}
