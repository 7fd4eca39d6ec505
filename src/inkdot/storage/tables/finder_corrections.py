"""``finder_corrections.csv``: where readers saw a nucleated cell and where none, to fine-tune the cell finder."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shapely.geometry.base import BaseGeometry

from inkdot.errors import ManifestError
from inkdot.labels import CELL, NOT_A_CELL
from inkdot.manifest.csv_table import read_csv
from inkdot.storage.atomic import write_text
from inkdot.storage.tables.labels_table import read_region, region_text

COLUMNS = ("slide_id", "geometry", "answer", "reader", "time")
ANSWERS = (NOT_A_CELL, CELL)


@dataclass(frozen=True, slots=True)
class FinderCorrection:
    """One reader's answer about one region.

    Attributes:
        slide_id: The slide.
        geometry: Polygon in level-0 pixels.
        answer: ``not_a_cell``: no nucleated cell has its nucleus in it; ``cell``: there is one at least.
        reader: Pseudonym of the reader.
        time: When, in UTC as ISO 8601; empty where it is not known.
    """

    slide_id: str
    geometry: BaseGeometry
    answer: str
    reader: str
    time: str = ""


def write_finder_corrections(path: Path, corrections: Iterable[FinderCorrection]) -> None:
    """Write a table atomically, in the order given."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in corrections:
        writer.writerow([one.slide_id, region_text(one.geometry), one.answer, one.reader, one.time])
    write_text(path, buffer.getvalue())


def read_finder_corrections(path: Path) -> list[FinderCorrection]:
    """Read and check a table; a column ``time`` may be missing.

    Raises:
        ManifestError: The table is missing, or a row's slide, region or answer is wrong.
    """
    table = read_csv(
        path,
        COLUMNS[:4],
        COLUMNS[4:],
        missing_hint="`inkdot review import --finder-corrections` writes one",
    )
    corrections: list[FinderCorrection] = []
    for row in table.rows:
        slide_id, geometry, answer, reader = (row.cells[name] for name in COLUMNS[:4])
        for name in ("slide_id", "reader"):
            if not row.cells[name]:
                raise ManifestError(f"{row.where}: column {name}: expected a name, found nothing; fill it in")
        if answer not in ANSWERS:
            raise ManifestError(
                f"{row.where}: column answer: expected {' or '.join(ANSWERS)}, found {answer!r}; correct it"
            )
        region = read_region(row.where, geometry)
        corrections.append(FinderCorrection(slide_id, region, answer, reader, row.cells.get("time", "")))
    return corrections
