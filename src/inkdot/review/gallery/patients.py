"""Slides of one patient together, each with its stain, so that Pap and MGG can be read side by side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from inkdot.records import SlideEntry
from inkdot.review.gallery.slide_review import SlideReview

_LONGEST: Final = 40

_KNOWN_STAINS: Final = frozenset(
    {"pap", "papanicolaou", "mgg", "giemsa", "may-grünwald-giemsa", "may-gruenwald-giemsa", "wright", "wright-giemsa"}
    | {"diff-quik", "diffquik", "romanowsky", "he", "h&e"}
)  # fmt: skip
"""Shown under pseudonyms; any other word in the column could be a name."""


def with_patients(
    reviews: Sequence[SlideReview],
    entries: Iterable[SlideEntry],
    names: Mapping[str, str],
    *,
    pseudonymise: bool,
    blinded: bool,
) -> list[SlideReview]:
    """The slides with their patient and stain, as far as they may be shown.

    Under pseudonyms patients are numbered in the order of their slides. A blinded review groups nothing: its order is shuffled,
    and a second slide of a patient would tell about the first.

    Args:
        reviews: The slides in the order of priority.
        entries: Rows of ``slides.csv``.
        names: Shown names by slide_id.
        pseudonymise: Show neither the patients' names nor free text.
        blinded: The review is a reader study.
    """
    if blinded:
        return list(reviews)
    by_name = {names[entry.slide_id]: entry for entry in entries}
    numbers: dict[str, str] = {}
    shown: list[SlideReview] = []
    for review in reviews:
        entry = by_name[review.slide_id]
        patient, stain = entry.patient_id, entry.stain.strip()
        if pseudonymise:
            patient = patient and numbers.setdefault(patient, str(len(numbers) + 1))
            stain = stain if stain.casefold() in _KNOWN_STAINS else ""
        shown.append(replace(review, patient=patient[:_LONGEST], stain=stain[:_LONGEST]))
    return shown


def grouped_by_patient(reviews: Sequence[SlideReview]) -> list[SlideReview]:
    """The slides with those of a patient together, at the place of the first one; else in their order."""
    groups: dict[tuple[str, str], list[SlideReview]] = {}
    for review in reviews:
        key = ("patient", review.patient) if review.patient else ("slide", review.slide_id)
        groups.setdefault(key, []).append(review)
    return [review for group in groups.values() for review in group]
