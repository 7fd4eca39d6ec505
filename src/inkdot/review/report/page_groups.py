"""Which slides share a page of a report."""

from collections.abc import Mapping, Sequence
from typing import Literal

from inkdot.errors import UserError
from inkdot.records import SlideEntry

By = Literal["slide", "patient"]
"""What a page is about."""


def wanted_slides(entries: Sequence[SlideEntry], names: Mapping[str, str], slides: Sequence[str]) -> set[str]:
    """The chosen slides by slide_id; all where none is chosen."""
    known = {name: slide_id for slide_id, name in names.items()}
    known |= {entry.slide_id: entry.slide_id for entry in entries}
    if wrong := [name for name in slides if name not in known]:
        raise UserError(
            f"--slide {wrong[0][:80]}: expected a slide of the results or its pseudonym, found no such one"
        )
    return {known[name] for name in slides} or set(known.values())


def page_groups(entries: Sequence[SlideEntry], by: By, wanted: set[str]) -> dict[str, list[SlideEntry]]:
    """The slides of each page, by the slide that stands for it."""
    found: dict[tuple[str, str], list[SlideEntry]] = {}
    for entry in entries:
        patient = entry.patient_id if by == "patient" else ""
        found.setdefault(("patient", patient) if patient else ("slide", entry.slide_id), []).append(entry)
    kept = [group for group in found.values() if any(entry.slide_id in wanted for entry in group)]
    return {group[0].slide_id: group for group in kept}
