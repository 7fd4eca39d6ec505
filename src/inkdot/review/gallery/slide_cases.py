"""The case panel of each slide of a review, and its form in the page's data."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from inkdot.cases.case_panel import PanelRow, case_panel
from inkdot.cases.join_slides import cases_of_slides, join_notes
from inkdot.cases.read_cases import read_cases
from inkdot.cases.reference_ranges import read_reference_ranges
from inkdot.errors import UserError
from inkdot.records import SlideEntry

CasePanels = Mapping[str, tuple[PanelRow, ...]]
"""Rows of the panel by slide_id; slides without a case are left out."""


def case_panels(
    cases: Path | None,
    entries: Sequence[SlideEntry],
    *,
    ranges: Path | None = None,
    blinded: bool,
    pseudonymise: bool,
) -> tuple[CasePanels, list[str]]:
    """The panels of slides, and what of the tables does not fit together, one line each.

    Args:
        cases: ``cases.csv``; None for no panels.
        entries: The slides as the results list them.
        ranges: Ranges and notes of the laboratory; the published ones where None.
        blinded: Whether the review is blinded: it shows no panel, since a case tells what others concluded.
        pseudonymise: Whether names are replaced: then free text is left out of the panels.

    Raises:
        UserError: The table or the ranges are wrong, or ranges are given without cases.
    """
    if cases is None:
        if ranges is not None:
            raise UserError("--ranges: expected --cases beside it, found none; add the table of the cases")
        return {}, []
    rows = read_cases(cases)
    known = read_reference_ranges(ranges) if ranges else None
    if blinded:
        return {}, ["cases: not shown in a blinded review"]
    joined = cases_of_slides(rows, entries)
    panels = {
        slide_id: case_panel(case, known, free_text=not pseudonymise, of_patient=rows)
        for slide_id, case in joined.items()
    }
    return panels, join_notes(rows, entries)


def panel_facts(panel: Sequence[PanelRow]) -> list[dict[str, object]]:
    """A panel as JSON values for the page, which inserts them as text."""
    return [
        {
            "label": row.label,
            "value": row.value,
            "range": row.range,
            "note": row.note,
            "source": row.source,
            "warning": row.warning,
        }
        for row in panel
    ]
