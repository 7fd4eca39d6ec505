"""Writes slide tables, for stages that make slides or pass on their input."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from inkdot.labels import Head
from inkdot.manifest.columns import KNOWN, PATIENT_PREFIX, SPLIT
from inkdot.records import Mpp, SlideEntry


def manifest_text(
    entries: Sequence[SlideEntry], heads: Sequence[Head], folder: Path, further: Sequence[str] = ()
) -> str:
    """Format a ``slides.csv``, sorted by slide_id; paths are relative to ``folder`` where they are inside it.

    Args:
        entries: The slides.
        heads: The heads, each with its columns of labels.
        folder: Of the table.
        further: Further columns that are written beside ``split``. Users' own are not: nothing uses them, and they may hold
            names of patients.
    """
    extra = sorted(name for name in {SPLIT, *further} if any(name in entry.extra for entry in entries))
    head_columns = [head.name for head in heads] + [PATIENT_PREFIX + head.name for head in heads]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*KNOWN, *head_columns, *extra], lineterminator="\n")
    writer.writeheader()
    for entry in sorted(entries, key=lambda entry: entry.slide_id):
        row = {
            "slide_id": entry.slide_id,
            "path": _relative(entry.path, folder),
            "patient_id": entry.patient_id,
            "specimen_id": entry.specimen_id,
            "site": entry.site,
            "scanner": entry.scanner,
            "preparation": entry.preparation or "",
            "stain": entry.stain,
            "mpp": _mpp_text(entry.mpp),
            "annotation": _relative(entry.annotation, folder) if entry.annotation else "",
        }
        row |= dict(entry.on_slide)
        row |= {PATIENT_PREFIX + head: label for head, label in entry.of_patient.items()}
        writer.writerow(row | {name: entry.extra.get(name, "") for name in extra})
    return buffer.getvalue()


def _relative(path: Path, folder: Path) -> str:
    absolute, base = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    return absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else str(absolute)


def _mpp_text(mpp: Mpp | None) -> str:
    if mpp is None:
        return ""
    return repr(float(mpp.x)) if mpp.x == mpp.y else f"{float(mpp.x)!r}x{float(mpp.y)!r}"
