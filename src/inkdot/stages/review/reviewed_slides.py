"""``inkdot review import --slides``: a ``slides.csv`` with what readers said, ready to train and to evaluate."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from inkdot.labels import Head, flagging_head
from inkdot.manifest import manifest_text, read_slides
from inkdot.records import SlideEntry
from inkdot.review.verdicts.answers import SlideAnswer
from inkdot.review.verdicts.questions import NEGATIVE, flag_label
from inkdot.storage.atomic import write_text

_MALIGNANT: Final = "malignant"
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class ReviewedSlides:
    """What became of the slides of a table.

    Attributes:
        labelled: Slides that got a label from their readers.
        annotated: Slides that got the table of regions as their annotation.
        notes: Lines for the user: slides whose readers disagree, or that have a label or an annotation already.
    """

    labelled: int
    annotated: int
    notes: tuple[str, ...]


def slide_labels(answers: Iterable[SlideAnswer], heads: Sequence[Head]) -> dict[str, str | None]:
    """The label of the flagging head that readers gave to each slide; None where they disagree.

    A category that means malignant is the label of the flag class; one that means negative is the only label that excludes it,
    where there is one and no reader found the slide inadequate. Atypical, suspicious and nondiagnostic give no label.
    """
    negative = _negative_label(flagging_head(heads))
    by_means = {_MALIGNANT: flag_label(heads)} | ({NEGATIVE: negative} if negative else {})
    answers = list(answers)
    inadequate = {answer.slide_id for answer in answers if answer.adequate is False}
    found: dict[str, set[str]] = {}
    for answer in answers:
        if answer.means in by_means and not (answer.means == NEGATIVE and answer.slide_id in inadequate):
            found.setdefault(answer.slide_id, set()).add(by_means[answer.means])
    unsure = {answer.slide_id for answer in answers if answer.means and answer.means not in by_means}
    return {
        slide_id: labels.copy().pop() if len(labels) == 1 and slide_id not in unsure else None
        for slide_id, labels in found.items()
    }


def _negative_label(head: Head) -> str | None:
    """The only label without any weight of the flag class; None where there are several, as of a head of grades."""
    excluding = [
        label
        for label, weights in head.labels.items()
        if weights and not weights.get(head.flag_class or "", 0.0)
    ]
    return excluding[0] if len(excluding) == 1 else None


def write_reviewed_slides(
    source: Path,
    out: Path,
    labels_csv: Path,
    answers: Sequence[SlideAnswer],
    with_regions: set[str],
    heads: Sequence[Head],
) -> ReviewedSlides:
    """Write the slides of a table with their readers' labels; what the table says already stays.

    Args:
        source: The ``slides.csv``.
        out: The table to write.
        labels_csv: The labels of regions, named as annotation of slides that have none.
        answers: What readers said about slides.
        with_regions: Slides with rows in ``labels_csv``.
        heads: The heads.

    Raises:
        ManifestError: The source is missing or wrong.
    """
    entries = read_slides(source, heads)
    labels = slide_labels(answers, heads)
    head = flagging_head(heads).name
    written = [_reviewed(entry, labels, with_regions, labels_csv, head) for entry in entries]
    write_text(out, manifest_text(written, heads, out.parent))
    pairs = list(zip(entries, written, strict=True))
    return ReviewedSlides(
        labelled=sum(head not in before.on_slide and head in after.on_slide for before, after in pairs),
        annotated=sum(before.annotation != after.annotation for before, after in pairs),
        notes=tuple(_notes(entries, labels, with_regions, labels_csv, head)),
    )


def _reviewed(
    entry: SlideEntry,
    labels: Mapping[str, str | None],
    with_regions: set[str],
    labels_csv: Path,
    head: str,
) -> SlideEntry:
    label = labels.get(entry.slide_id)
    if label is not None and head not in entry.on_slide:
        entry = replace(entry, on_slide={**entry.on_slide, head: label})
    if entry.annotation is None and entry.slide_id in with_regions:
        entry = replace(entry, annotation=labels_csv)
    return entry


def _notes(
    entries: Sequence[SlideEntry],
    labels: Mapping[str, str | None],
    with_regions: set[str],
    labels_csv: Path,
    head: str,
) -> Iterable[str]:
    known = {entry.slide_id: entry for entry in entries}
    lists = {
        "readers disagree, no label is written": [name for name, label in labels.items() if label is None],
        "readers say otherwise than the table, whose label stays": [
            name
            for name, label in labels.items()
            if label is not None and name in known and known[name].on_slide.get(head, label) != label
        ],
        "have an annotation already, which stays: merge the labels of regions into it": [
            name
            for name in with_regions
            if name in known
            and known[name].annotation is not None
            and not _same_file(known[name].annotation, labels_csv)
        ],
        "are not in the table": [name for name in {*labels, *with_regions} if name not in known],
    }
    for words, names in lists.items():
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield f"{', '.join(sorted(names)[:_NAMED])}{more}: {words}"


def _same_file(one: Path | None, other: Path) -> bool:
    return one is not None and os.path.abspath(one) == os.path.abspath(other)
