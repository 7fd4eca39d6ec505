"""``predictions.csv``: one row per slide, for people and spreadsheets."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, Literal

from inkdot.errors import StorageError
from inkdot.manifest.csv_table import CsvRow, csv_rows, read_text
from inkdot.storage.atomic import write_text

SlideCall = Literal["flagged", "nothing flagged", "indeterminate", "inadequate", ""]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

_OUTCOMES: Final = ("done", "failed")
_ALWAYS: Final = ("slide_id", "outcome", "call", "score", "reason")
"""Columns of every version that readers of the table count on."""

WARNING_SEPARATOR: Final = " | "
"""Separator of warnings in one cell; warnings may contain semicolons."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of the table.

    Attributes:
        slide_id: The slide.
        outcome: done or failed.
        call: The call of the slide; empty where it failed.
        score: Score of the slide, 0 to 1, with 4 decimals; empty where there is none.
        tiles: Number of scored tiles.
        flagged_tiles: Number of tiles at or above the operating point.
        top_x_l0_px: Left edge of the highest tile in level-0 pixels; empty where there is none.
        top_y_l0_px: Top edge of the highest tile in level-0 pixels.
        warnings: Warnings that go with the call, separated by :data:`WARNING_SEPARATOR`.
        reason: Why the slide failed, is inadequate or indeterminate.
        clusters: Number of clusters and single nuclei; empty in mode grid.
        flagged_clusters: Number of those at or above the operating point; empty in mode grid.
        further_calls: Calls of the conditional heads for flagged slides, e.g. ``morphology: small-cell-like``; else empty.
        nuclei_in_focus: Estimated number of nuclei of all cell types; empty where not counted.
        assessable_mm2: Assessable area of glass in the spot, or of tissue in a section.
        unassessable_fraction: Fraction (0 to 1) of the content that is out of focus or under artefacts.
        spread: Of an ensemble: standard deviation of its members' scores of the slide; else empty.
    """

    slide_id: str
    outcome: Literal["done", "failed"]
    call: SlideCall
    score: str = ""
    tiles: int = 0
    flagged_tiles: int = 0
    top_x_l0_px: str = ""
    top_y_l0_px: str = ""
    warnings: str = ""
    reason: str = ""
    clusters: str = ""
    flagged_clusters: str = ""
    further_calls: str = ""
    nuclei_in_focus: str = ""
    assessable_mm2: str = ""
    unassessable_fraction: str = ""
    spread: str = ""


def spreadsheet_safe(text: str) -> str:
    """Escape text that a spreadsheet would run as a formula by an apostrophe; numbers are left as they are."""
    if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write the table atomically, sorted by slide_id."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Prediction)], lineterminator="\n")
    writer.writeheader()
    for prediction in sorted(predictions, key=lambda row: row.slide_id):
        row = asdict(prediction)
        writer.writerow(
            {
                name: spreadsheet_safe(value) if isinstance(value, str) else value
                for name, value in row.items()
            }
        )
    write_text(path, buffer.getvalue())


def read_predictions(path: Path) -> list[dict[str, str]]:
    """Read the rows as written.

    Raises:
        StorageError: The table is missing, not UTF-8 or CSV, lacks a column, or has a wrong outcome or score.
    """
    if not path.is_file():
        raise StorageError(
            f"{path}: expected the results of `inkdot predict`, found none there; run it first"
        )
    columns, rows = csv_rows(path, read_text(path, error=StorageError), error=StorageError)
    missing = [name for name in _ALWAYS if name not in columns]
    if missing:
        raise StorageError(
            f"{path}: expected the results of `inkdot predict`, found no column {missing[0]}; run it again"
        )
    return [_checked(row) for row in rows]


def _checked(row: CsvRow) -> dict[str, str]:
    """A row whose outcome and score are of the kinds that are written."""
    cells = dict(row.cells)
    if not cells["slide_id"]:
        raise StorageError(f"{row.where}: column slide_id: expected a name, found nothing; run predict again")
    if cells["outcome"] not in _OUTCOMES:
        raise StorageError(
            f"{row.where}: column outcome: expected {' or '.join(_OUTCOMES)}, found {cells['outcome'][:60]!r}; "
            "run `inkdot predict` again"
        )
    if cells["score"] and not _is_score(cells["score"]):
        raise StorageError(
            f"{row.where}: column score: expected 0 to 1 or blank, found {cells['score'][:60]!r}; "
            "run `inkdot predict` again"
        )
    return cells


def _is_score(text: str) -> bool:
    try:
        return 0.0 <= float(text) <= 1.0
    except ValueError:
        return False
