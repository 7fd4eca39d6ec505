"""What can be said of slides taken together before any work: patients, twins, columns and labels that are missing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from inkdot.datasets.splits.grouped_split import patient_of
from inkdot.labels import Head
from inkdot.manifest.columns import SPLIT
from inkdot.records import SlideEntry
from inkdot.storage.hashing import slide_fingerprint

_FEWEST_PATIENTS = 2
"""One to learn from and one to be judged on."""


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How often an label was given, be it of the slide, of the patient, or of a region.

    Attributes:
        head: The head.
        label: The label.
        patients: Patients with it; a slide without a patient counts as one.
        slides: Slides with it.
    """

    head: str
    label: str
    patients: int
    slides: int


def count_labels(
    entries: Sequence[SlideEntry], regions: Mapping[str, Sequence[tuple[str, str]]], heads: Sequence[Head]
) -> list[LabelCount]:
    """Count every label of every head.

    Args:
        entries: The slides.
        regions: (head, label) of the labelled regions, by slide_id.
        heads: The heads.
    """
    said = {
        entry.slide_id: {*entry.on_slide.items(), *entry.of_patient.items(), *regions.get(entry.slide_id, ())}
        for entry in entries
    }
    counts: list[LabelCount] = []
    for head in heads:
        for label in head.labels:
            users = [entry for entry in entries if (head.name, label) in said[entry.slide_id]]
            patients = {patient_of(entry.slide_id, entry.patient_id) for entry in users}
            counts.append(LabelCount(head.name, label, len(patients), len(users)))
    return counts


def training_notes(counts: Sequence[LabelCount], heads: Sequence[Head]) -> list[str]:
    """Why training would stop: a class that nobody, or only one patient, has."""
    if not any(count.slides for count in counts):
        return ["no labels: enough to tile and predict, nothing to train or evaluate on"]
    patients = {(count.head, count.label): count.patients for count in counts}
    notes: list[str] = []
    for head in heads:
        if not any(patients[head.name, label] for label in head.labels):
            notes.append(
                f"head {head.name}: no slide or region labels it; training would stop: label some, or remove the head "
                "from the config"
            )
            continue
        for name in head.classes:
            known = [label for label, weights in head.labels.items() if weights.get(name, 0.0) > 0.5]
            found = sum(patients[head.name, label] for label in known)
            if found < _FEWEST_PATIENTS:
                notes.append(
                    f"head {head.name}: expected at least {_FEWEST_PATIENTS} patients with {name}, one to learn from and "
                    f"one to be judged on, found {found}; training would stop: label more patients"
                )
    return notes


def cohort_notes(entries: Sequence[SlideEntry]) -> list[str]:
    """Patients unknown, one file under two names, and columns without a meaning."""
    notes: list[str] = []
    blank = sum(not entry.patient_id for entry in entries)
    if blank:
        notes.append(
            f"{blank} of {len(entries)} slides have no patient_id: each is taken for a patient of its own"
        )
    free = sorted({name for entry in entries for name in entry.extra} - {SPLIT})
    if free:
        notes.append(f"columns that are kept but mean nothing here, not even as labels: {', '.join(free)}")
    by_content: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        with suppress(OSError):  # a locked one is named as a slide
            if entry.path.is_file():
                by_content[slide_fingerprint(entry.path)].append(entry.slide_id)
    notes += [
        f"{', '.join(twins)}: the same file under several names"
        for twins in by_content.values()
        if len(twins) > 1
    ]
    return notes
