"""The cases of a page as plain data: every value in one paragraph, notes below it as far as there is room."""

from collections.abc import Sequence

from inkdot.cases.case_panel import PanelRow
from inkdot.review.report.page import PageCase, Room
from inkdot.review.report.words import counted, cut

_LONGEST_VALUE = 80
_LONGEST_NAMES = 120


def page_cases(panels: Sequence[tuple[str, tuple[PanelRow, ...]]]) -> tuple[PageCase, ...]:
    """The different panels of a page, each with the slides that it is about.

    Args:
        panels: Name of each slide of the page, as shown, and its panel; empty where it has none.
    """
    slides_of: dict[tuple[PanelRow, ...], list[str]] = {}
    for name, rows in panels:
        slides_of.setdefault(rows, []).append(name)
    whole = len(slides_of) == 1
    return tuple(
        PageCase("" if whole else ", ".join(names), rows) for rows, names in slides_of.items() if rows
    )


def case_facts(cases: Sequence[PageCase], room: Room, left_out: list[str]) -> list[dict[str, object]]:
    """The cases, cut to a room; what to note of warned values comes first.

    Args:
        cases: Those of the page.
        room: How much fits.
        left_out: Gets what is left out.
    """
    return [_facts(case, room, left_out) for case in cases[: room.slides]]


def _rank(row: PanelRow) -> int:
    """Warned values first, then what a value cannot exclude, then the rest."""
    return 0 if row.warning else 1 if "does not exclude" in row.note else 2


def _facts(case: PageCase, room: Room, left_out: list[str]) -> dict[str, object]:
    noted = sorted((row for row in case.rows if row.note), key=_rank)
    if len(noted) > room.warnings:
        left_out.append(f"{counted(len(noted) - room.warnings, 'note')} on the case")
    lines = [
        f"{row.label} {row.value}: {row.note}" + (f" [{row.source}]" if row.source else "") for row in noted
    ]
    if any(len(line) > room.warning_characters for line in lines[: room.warnings]):
        left_out.append("the ends of long notes on the case (…)")
    return {
        "of": cut(case.of, _LONGEST_NAMES),
        "values": [
            [cut(row.label, _LONGEST_VALUE), cut(row.value, _LONGEST_VALUE), row.range, row.warning]
            for row in case.rows
        ],
        "notes": [cut(line, room.warning_characters) for line in lines[: room.warnings]],
    }
