"""``assessment.csv``: the adequacy of each slide and the area of everything unassessable; one row per slide."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from inkdot.storage.atomic import write_text
from inkdot.storage.tables.predictions import spreadsheet_safe

COLUMNS = (
    "slide_id", "call", "why", "rule", "nuclei", "nuclei_in_focus", "assessable_mm2", "unassessable_fraction", "spot",
    "warnings",
)  # fmt: skip
REASONS = (
    "glass", "foreground", "clot", "speck", "red_cell", "precipitate", "ring", "outside", "blur", "fibre", "fold",
    "coverslip", "bubble", "in_bubble", "grey", "pen", "no_pixels",
)  # fmt: skip
"""Foreground classes; the area of each is a column ``<class>_mm2``."""


def write_assessments(path: Path, assessments: Iterable[tuple[str, Mapping[str, object]]]) -> None:
    """Write the table atomically, sorted by slide_id.

    Args:
        path: The file.
        assessments: slide_id and assessment of each slide, as in the footer of its tile table, with its warnings in one text.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"{reason}_mm2" for reason in REASONS)])
    for slide_id, assessment in sorted(assessments, key=lambda row: row[0]):
        areas = cast("Mapping[str, float]", assessment.get("areas_mm2") or {})
        call = "adequate" if assessment.get("adequate") else "inadequate"
        known = {**assessment, "slide_id": slide_id, "call": call}
        cells = ["" if known.get(name) is None else str(known[name]) for name in COLUMNS]
        cells += [str(areas.get(reason, 0.0)) for reason in REASONS]
        writer.writerow([spreadsheet_safe(cell) for cell in cells])
    write_text(path, buffer.getvalue())
