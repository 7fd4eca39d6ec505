"""Reads and checks slide tables. Every error names the file, row and column, and what to change."""

import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from inkdot.errors import ManifestError
from inkdot.labels import Head
from inkdot.manifest.columns import KNOWN, PATIENT_PREFIX, PREPARATIONS, REQUIRED, SPLIT
from inkdot.manifest.csv_table import CsvRow, read_csv
from inkdot.manifest.file_names import (
    LONGEST_ID_BYTES,
    existing_spelling,
    is_usable_id,
)
from inkdot.manifest.folder_slides import passed_over_notes, slides_of_files, table_of
from inkdot.manifest.slide_folder import SLIDE_SUFFIXES, dicom_slide, scan_folder
from inkdot.manifest.stated_scale import check_stated_mpp
from inkdot.records import Mpp, Preparation, SlideEntry
from inkdot.units import MicrometresPerPixel

UnknownLabels = Literal["refuse", "skip"]
"""What happens to a label that its head does not have: commands that need no labels skip it."""


def read_slides(
    source: Path, heads: Sequence[Head], *, unknown_labels: UnknownLabels = "refuse"
) -> list[SlideEntry]:
    """Read a ``slides.csv``, or list a slide file or a folder of slides; sorted by slide_id.

    Args:
        source: A table (.csv), one slide, or a folder: its ``slides.csv`` where it has one, else the slides in it and in its
            subfolders, named by their file stem; a DICOM slide of several files by its folder.
        heads: The heads, whose labels are in the columns ``<head>`` (slide) and ``patient_<head>`` (patient).
        unknown_labels: What happens to labels that their head does not have.

    Raises:
        ManifestError: The source is missing or has no slides, or a row or column is wrong.
    """
    source = existing_spelling(source)
    if not source.exists():
        raise ManifestError(
            f"{source}: expected a slides.csv, a slide or a folder of slides, found nothing there; correct the path"
        )
    if source.is_dir():
        if (table := table_of(source)) is not None:
            return read_slides(table, heads, unknown_labels=unknown_labels)
        scan = scan_folder(source)
        if not scan.slides:
            notes = "".join(f"; {note}" for note in passed_over_notes(scan))
            raise ManifestError(
                f"{source}: expected slide files, found none; known suffixes are {' '.join(sorted(SLIDE_SUFFIXES))}{notes}"
            )
        return _unique(slides_of_files(scan.slides, source), str(source))
    if source.suffix.lower() == ".csv":
        return _unique(_read_table(source, heads, unknown_labels), str(source))
    return slides_of_files([source])


def read_all_slides(
    sources: Sequence[Path], heads: Sequence[Head], *, unknown_labels: UnknownLabels = "refuse"
) -> list[SlideEntry]:
    """Read several tables, slides or folders as by :func:`read_slides`; sorted by slide_id.

    Raises:
        ManifestError: As in :func:`read_slides`, or two slides have the same slide_id.
    """
    entries = [
        entry for source in sources for entry in read_slides(source, heads, unknown_labels=unknown_labels)
    ]
    return _unique(entries, ", ".join(str(source) for source in sources))


def _slide_file(path: Path) -> Path:
    """The file by which a slide is opened: of a folder of one DICOM series its largest one."""
    return dicom_slide(path) or path


def _check_id(where: str, what: str, slide_id: str, change: str) -> None:
    if not is_usable_id(slide_id):
        raise ManifestError(
            f"{where}: {what}: expected a name that can be a file name (at most {LONGEST_ID_BYTES} bytes, "
            f'without / \\ : * ? " < > |), found {slide_id[:80]!r}; {change}'
        )


def _unique(entries: list[SlideEntry], source: str) -> list[SlideEntry]:
    by_key: dict[str, SlideEntry] = {}
    files: dict[str, SlideEntry] = {}
    for entry in entries:
        twin = files.setdefault(os.path.realpath(entry.path), entry)
        if twin is not entry:
            raise ManifestError(
                f"{source}: expected each slide file once, found {entry.path.name} as {twin.slide_id!r} and as "
                f"{entry.slide_id!r}; remove one"
            )
        # Case-folded: on Windows and macOS two such names would be one file.
        other = by_key.setdefault(entry.slide_id.casefold(), entry)
        if other is not entry:
            named = [other.path.name, entry.path.name]
            if named[0] == named[1]:  # then their folders differ
                named = [str(other.path), str(entry.path)]
            raise ManifestError(
                f"{source}: expected unique slide_id, found {entry.slide_id!r} for {named[0]} and {named[1]}; "
                "rename one, or list the slides in a slides.csv with other names"
            )
    return sorted(entries, key=lambda entry: entry.slide_id)


def _read_table(path: Path, heads: Sequence[Head], unknown_labels: UnknownLabels) -> list[SlideEntry]:
    head_columns = [prefix + head.name for head in heads for prefix in ("", PATIENT_PREFIX)]
    table = read_csv(path, REQUIRED, [*KNOWN, *head_columns])
    if not table.rows:
        raise ManifestError(
            f"{path}: expected at least one slide, found only the header; add a row per slide"
        )
    entries = [_entry(path.parent, row, heads, frozenset(head_columns), unknown_labels) for row in table.rows]
    _check_patients(list(zip(table.rows, entries, strict=True)))
    return entries


def _entry(
    folder: Path,
    row: CsvRow,
    heads: Sequence[Head],
    head_columns: frozenset[str],
    unknown_labels: UnknownLabels,
) -> SlideEntry:
    cells = row.cells
    _check_id(row.where, "column slide_id", cells["slide_id"], "choose another name")
    if not cells["path"]:
        raise ManifestError(f"{row.where}: column path: expected the slide file, found nothing; fill it in")
    annotation = cells.get("annotation", "")
    return SlideEntry(
        slide_id=cells["slide_id"],
        path=_slide_file(existing_spelling(folder / cells["path"])),
        patient_id=cells.get("patient_id", ""),
        specimen_id=cells.get("specimen_id", ""),
        site=cells.get("site", ""),
        scanner=cells.get("scanner", ""),
        preparation=_preparation(row),
        stain=cells.get("stain", ""),
        mpp=mpp_from_text(row.where, "mpp", cells.get("mpp", "")),
        annotation=existing_spelling(folder / annotation) if annotation else None,
        on_slide=_labels(row, heads, "", unknown_labels),
        of_patient=_labels(row, heads, PATIENT_PREFIX, unknown_labels),
        extra={name: text for name, text in cells.items() if name not in KNOWN and name not in head_columns},
    )


def _preparation(row: CsvRow) -> Preparation | None:
    text = row.cells.get("preparation", "")
    if not text:
        return None
    for known in PREPARATIONS:
        if text == known:
            return known
    raise ManifestError(
        f"{row.where}: column preparation: expected {', '.join(PREPARATIONS)} or blank, found {text!r}; correct it"
    )


def _labels(row: CsvRow, heads: Sequence[Head], prefix: str, unknown_labels: UnknownLabels) -> dict[str, str]:
    labels: dict[str, str] = {}
    for head in heads:
        label = row.cells.get(prefix + head.name, "")
        if label and (unknown_labels == "refuse" or label in head.labels):
            check_label(row.where, prefix + head.name, label, head)
            labels[head.name] = label
    return labels


def check_label(where: str, column: str, label: str, head: Head) -> None:
    """Check that a label is one of the head.

    Raises:
        ManifestError: It is not; the message names the row, the column and the labels of the head.
    """
    if label not in head.labels:
        raise ManifestError(
            f"{where}: column {column}: expected {', '.join(head.labels)} or blank, found {label!r}; "
            f"correct it, or add the label to head {head.name!r} in the config"
        )


def mpp_from_text(where: str, column: str, text: str) -> Mpp | None:
    """Parse micrometres per pixel: ``0.25``, or ``0.25x0.26`` for x and y; None where blank.

    Raises:
        ManifestError: It is not a positive number, or of another unit.
    """
    if not text:
        return None
    try:
        values = [float(part) for part in re.split(r"[x×]", text)]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(math.isfinite(value) and value > 0 for value in values):
        hint = "; write a decimal point" if "," in text else ""
        raise ManifestError(
            f"{where}: column {column}: expected micrometres per pixel such as 0.25 (or 0.25x0.26 for x and y), "
            f"or blank, found {text!r}{hint}"
        )
    for value in values:
        check_stated_mpp(f"{where}: column {column}", value)
    return Mpp(MicrometresPerPixel(values[0]), MicrometresPerPixel(values[-1]))


def _check_patients(rows: Iterable[tuple[CsvRow, SlideEntry]]) -> None:
    """Check that a specimen has one patient, and a patient one label per head and one split."""
    labels_of: defaultdict[tuple[str, str, str], dict[str, CsvRow]] = defaultdict(dict)
    for row, entry in rows:
        if entry.specimen_id and entry.patient_id:
            labels_of["specimen", entry.specimen_id, "patient_id"].setdefault(entry.patient_id, row)
        if entry.patient_id:
            for head, label in entry.of_patient.items():
                labels_of["patient", entry.patient_id, PATIENT_PREFIX + head].setdefault(label, row)
            if split := entry.extra.get(SPLIT):
                labels_of["patient", entry.patient_id, SPLIT].setdefault(split, row)
    for (kind, name, column), labels in labels_of.items():
        if len(labels) > 1:
            (first, first_row), (second, row) = list(labels.items())[:2]
            raise ManifestError(
                f"{row.where}: column {column}: expected one value for {kind} {name!r}, found {second!r} here and "
                f"{first!r} in line {first_row.line}; correct one"
            )
