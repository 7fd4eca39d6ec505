"""``inkdot case show``: the panel of each case: values, cited ranges, warnings and the evidence level."""

import csv
import io
from dataclasses import fields
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inkdot.cases.case_panel import PanelRow, case_panel
from inkdot.cases.case_record import Case
from inkdot.cases.evidence import read_evidence_rules
from inkdot.cases.read_cases import read_cases
from inkdot.cases.reference_ranges import read_reference_ranges
from inkdot.errors import UserError
from inkdot.review.wording import RESEARCH_USE
from inkdot.storage.atomic import write_text
from inkdot.storage.tables.predictions import spreadsheet_safe


def run(
    cases: Path,
    *,
    patient: str | None = None,
    ranges: Path | None = None,
    evidence_rules: Path | None = None,
    out: Path | None = None,
) -> int:
    """Print the panels, or write them as a table.

    Args:
        cases: ``cases.csv``.
        patient: Only this patient.
        ranges: Ranges and notes of the laboratory; the published ones where None.
        evidence_rules: Rules of the evidence level; those that come with Inkdot where None.
        out: CSV file to write instead of printing.

    Returns:
        0.

    Raises:
        UserError: A table or file is wrong, or no row is about the patient.
    """
    table = read_cases(cases)
    rows = [case for case in table if patient in (None, case.patient_id)]
    if not rows:
        whom = f"patient {patient!r}" if patient else "at least one patient"
        raise UserError(f"{cases}: expected a row of {whom}, found none; correct it")
    known = read_reference_ranges(ranges) if ranges else None
    rules = read_evidence_rules(evidence_rules) if evidence_rules else None
    panels = [(case, case_panel(case, known, rules=rules, of_patient=table)) for case in rows]
    if out is not None:
        write_text(out, _table_text(panels))
        Console(stderr=True).print(f"{out}: {len(panels)} cases", markup=False, highlight=False)
        return 0
    console = Console()
    for case, panel in panels:
        _print(console, case, panel)
    console.print(RESEARCH_USE)
    return 0


def _print(console: Console, case: Case, panel: tuple[PanelRow, ...]) -> None:
    title = case.patient_id + (f", {case.specimen_id}" if case.specimen_id else "")
    table = Table(title=Text(title), title_justify="left")
    for name in ("", "value", "range"):
        table.add_column(name, overflow="fold")
    table.add_column("what to know", overflow="fold", ratio=1)
    for row in panel:
        note = row.note + (f" [{row.source}]" if row.source else "")
        mark = "! " if row.warning else ""
        table.add_row(Text(row.label), Text(mark + row.value), Text(row.range), Text(note))
    console.print(table)


def _table_text(panels: list[tuple[Case, tuple[PanelRow, ...]]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = [field.name for field in fields(PanelRow)]
    writer.writerow(["patient_id", "specimen_id", *names])
    for case, panel in panels:
        for row in panel:
            cells = [case.patient_id, case.specimen_id, *(str(getattr(row, name)) for name in names)]
            writer.writerow([spreadsheet_safe(cell) for cell in cells])
    return buffer.getvalue()
