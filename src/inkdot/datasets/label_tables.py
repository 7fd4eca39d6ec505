"""Labels tables of a whole cohort, checked before any slide is opened."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from inkdot.annotations import dialect_of
from inkdot.errors import AnnotationError
from inkdot.labels import Head
from inkdot.records import SlideEntry
from inkdot.storage.tables.labels_table import read_labels


def check_label_tables(
    entries: Sequence[SlideEntry],
    heads: Sequence[Head],
    *,
    other_heads: Literal["refuse", "skip"] = "refuse",
) -> list[str]:
    """Read every labels table of the slides, and list rows that no slide uses.

    Annotation files of single slides are not read here; damaged ones fail with their slide.

    Args:
        entries: The slides.
        heads: The heads.
        other_heads: Whether rows of other heads are an error, or are skipped: a model may have fewer than the table.

    Raises:
        ManifestError: A table is missing, or a row's region, head or label is wrong.
    """
    lines: list[str] = []
    for path in sorted({entry.annotation for entry in entries if entry.annotation}):
        if path.exists() and not _is_labels_table(path):
            continue
        users = {entry.slide_id for entry in entries if entry.annotation == path}
        rows = read_labels(path, heads, other_heads=other_heads)
        unused = [label.slide_id for label in rows if label.slide_id not in users]
        if unused:
            lines.append(
                f"{path}: {len(unused)} rows name slides that do not use this table, such as {unused[0]!r}; left out"
            )
    return lines


def _is_labels_table(path: Path) -> bool:
    try:
        return dialect_of(path) == "labels"
    except AnnotationError:
        return False
