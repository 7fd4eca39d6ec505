"""``inkdot plan``: print how large a study must be, and write its table and plot."""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inkdot.errors import UserError
from inkdot.evaluation.planning.study_plan import (
    StudyPlan,
    cell_text,
    plan_html,
    plan_json,
    plan_png,
    plan_svg,
)
from inkdot.storage.atomic import write_bytes, write_text

_ENDINGS = (".html", ".svg", ".png", ".json")


def run(plan: StudyPlan, out: Path | None, *, as_json: bool) -> int:
    """Print the plan, as a table or as JSON, and write it to a file.

    Args:
        plan: The plan.
        out: File to write: HTML, SVG, PNG or JSON by its ending; None writes nothing.
        as_json: Print JSON to standard output in place of the table.

    Returns:
        0.

    Raises:
        UserError: The ending is another one, or the file cannot be written.
    """
    if out is not None:
        ending = out.suffix.lower()
        if ending not in _ENDINGS:
            raise UserError(f"--out: expected a file ending in {', '.join(_ENDINGS)}, found {out.name!r}")
        if ending == ".png":
            write_bytes(out, plan_png(plan))
        else:
            made = {".html": plan_html, ".svg": plan_svg, ".json": plan_json}[ending]
            write_text(out, made(plan))
    if as_json:
        sys.stdout.write(plan_json(plan))
    else:
        _print(plan)
    return 0


def _print(plan: StudyPlan) -> None:
    console = Console()
    console.print(Text(plan.answer), soft_wrap=True)
    table = Table(box=None)
    for index, column in enumerate(plan.columns):
        table.add_column(column, overflow="fold", justify="left" if index == 0 else "right")
    for row in plan.rows:
        table.add_row(*(Text(cell_text(cell)) for cell in row))
    console.print(table)
    for line in plan.notes:
        console.print(Text(line), soft_wrap=True)
