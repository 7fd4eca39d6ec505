"""Checks of a cohort before any work: patients, identical files, unknown columns and missing labels."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from inkdot.datasets.splits.grouped_split import patient_of
from inkdot.labels import Head
from inkdot.manifest.columns import SPLIT
from inkdot.records import SlideEntry
from inkdot.storage.hashing import slide_fingerprint


@dataclass(frozen=True, slots=True)
class LabelCount:
    """Number of slides and patients with a label, be it of the slide, of the patient, or of a region.

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
    labels_of = {
        entry.slide_id: {*entry.on_slide.items(), *entry.of_patient.items(), *regions.get(entry.slide_id, ())}
        for entry in entries
    }
    counts: list[LabelCount] = []
    for head in heads:
        for label in head.labels:
            own = [entry for entry in entries if (head.name, label) in labels_of[entry.slide_id]]
            patients = {patient_of(entry.slide_id, entry.patient_id) for entry in own}
            counts.append(LabelCount(head.name, label, len(patients), len(own)))
    return counts


def cohort_notes(entries: Sequence[SlideEntry]) -> list[str]:
    """Notes on unknown patients, one file under several names, and unused columns."""
    notes: list[str] = []
    blank = sum(not entry.patient_id for entry in entries)
    if blank:
        notes.append(
            f"{blank} of {len(entries)} slides have no patient_id: each counts as a patient of its own"
        )
    free = sorted({name for entry in entries for name in entry.extra} - {SPLIT})
    if free:
        notes.append(f"columns that are neither used nor copied, not even as labels: {', '.join(free)}")
    by_content: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        with suppress(OSError):  # a locked file is reported with its slide
            if entry.path.is_file():
                by_content[slide_fingerprint(entry.path)].append(entry.slide_id)
    notes += [
        f"{', '.join(names)}: the same file under several names"
        for names in by_content.values()
        if len(names) > 1
    ]
    return notes
