"""``predictions.csv``: one line per slide, for a person and for spreadsheets."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, Literal

from inkdot.errors import StorageError
from inkdot.storage.atomic import write_text

SlideCall = Literal["flagged", "nothing flagged", "indeterminate", "inadequate", ""]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

WARNING_SEPARATOR: Final = " | "
"""Between two warnings in one cell; a semicolon stands within sentences."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is said of one slide.

    Attributes:
        slide_id: The slide.
        outcome: done or failed.
        call: The slide's call (DESIGN §5); empty where the slide failed.
        score: The slide's score, 0 to 1, with 4 decimals; empty where there is none.
        tiles: Tiles scored.
        flagged_tiles: Tiles at or above the locked operating point.
        top_x_l0_px: Left edge of the highest tile in level-0 pixels; empty where there is none.
        top_y_l0_px: Top edge of the highest tile in level-0 pixels.
        warnings: What must be said with the call, separated by :data:`WARNING_SEPARATOR`.
        reason: Why the slide failed, is inadequate or was left open.
        clusters: Clusters and lone cells found; empty where the grid was cut.
        flagged_clusters: Those at or above the locked operating point; empty where the grid was cut.
        further_calls: Labels of the heads that are asked of what is flagged, such as
            ``morphology: small-cell-like``; empty where nothing is.
        nuclei_in_focus: Nucleated cells of all kinds, as estimated; empty where they were not counted.
        assessable_mm2: Glass of the spot, or tissue of a section, that can be judged.
        unassessable_fraction: Share (0 to 1) of what lies on the slide that is out of focus or under artefacts.
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


def spreadsheet_safe(text: str) -> str:
    """Text that a spreadsheet shows instead of running: a leading formula sign gets an apostrophe; numbers none."""
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
    """The table's rows as written.

    Raises:
        StorageError: The table is missing.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError:
        raise StorageError(
            f"{path}: expected the results of `inkdot predict`, found none there; run it first"
        ) from None
