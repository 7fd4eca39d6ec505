"""Finds the row of ``cases.csv`` of each slide, and names patients that only one of the two tables has."""

from collections import defaultdict
from collections.abc import Sequence

from inkdot.cases.case_record import Case
from inkdot.cases.similar_names import plain_name
from inkdot.records import SlideEntry

_MOST_NAMED = 10


def cases_of_slides(cases: Sequence[Case], entries: Sequence[SlideEntry]) -> dict[str, Case]:
    """The row of each slide, by slide_id; slides without one are left out.

    A row belongs to a slide of the same patient and specimen. Where there is none, the patient's row without a specimen does.
    A slide without a specimen has its patient's row, where the patient has only one.

    Args:
        cases: The rows of ``cases.csv``.
        entries: The slides.
    """
    of_patient: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        of_patient[case.patient_id].append(case)
    found: dict[str, Case] = {}
    for entry in entries:
        case = _case_of(entry, of_patient.get(entry.patient_id, []) if entry.patient_id else [])
        if case is not None:
            found[entry.slide_id] = case
    return found


def join_notes(cases: Sequence[Case], entries: Sequence[SlideEntry]) -> list[str]:
    """What of the two tables does not fit together, one line each; empty where all does.

    Args:
        cases: The rows of ``cases.csv``.
        entries: The slides.
    """
    of_slides = {entry.patient_id for entry in entries if entry.patient_id}
    of_cases = {case.patient_id for case in cases if case.patient_id}
    notes: list[str] = []
    if unknown := sorted(of_cases - of_slides):
        notes.append(f"cases: {_named(unknown)} of cases.csv: no slide of this patient_id in slides.csv")
    if without := sorted(of_slides - of_cases):
        notes.append(f"cases: {_named(without)} of slides.csv: no row in cases.csv")
    spelt = {plain_name(name): name for name in sorted(of_slides - of_cases)}
    notes += [
        f"cases: patient_id {name!r} of cases.csv and {spelt[plain_name(name)]!r} of slides.csv differ only in capitals, spaces "
        "or punctuation; write one of them in both tables"
        for name in unknown[:_MOST_NAMED]
        if plain_name(name) in spelt
    ]
    joined = cases_of_slides(cases, entries)
    lost = sorted(e.slide_id for e in entries if e.patient_id in of_cases and e.slide_id not in joined)
    if lost:
        notes.append(
            f"cases: slides {_listed(lost)}: the patient has several rows and none is of the slide's specimen_id; "
            "write the same specimen_id in both tables"
        )
    return notes


def _case_of(entry: SlideEntry, rows: Sequence[Case]) -> Case | None:
    if not entry.specimen_id:
        return rows[0] if len(rows) == 1 else next((case for case in rows if not case.specimen_id), None)
    same = [case for case in rows if case.specimen_id == entry.specimen_id]
    return same[0] if same else next((case for case in rows if not case.specimen_id), None)


def _named(patients: Sequence[str]) -> str:
    return f"patient{'s' if len(patients) > 1 else ''} {_listed(patients)}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(map(repr, names[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
