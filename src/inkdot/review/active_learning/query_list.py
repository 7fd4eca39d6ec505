"""``next.csv``: the query list of active learning, most informative region first."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inkdot.errors import ManifestError
from inkdot.manifest.csv_table import csv_rows, read_text
from inkdot.review.verdicts.csv_cells import plain_text, safe_cell

QUERY_LIST_VERSION = "inkdot.query_list/1"
_EARLIER_VERSION = "inkdot.questions/1"  # the same with a column place
MAX_REGIONS_PER_SLIDE = 2000
"""Candidates of one slide, by score: the model is certain about those below."""

COLUMNS = ("order", "slide_id", "geometry", "score", "entropy_bits", "distance", "model_sha256", "schema")


@dataclass(frozen=True, slots=True)
class Query:
    """One region to review.

    Attributes:
        slide_id: The slide.
        geometry: WKT POLYGON in level-0 pixels.
        score: Score of the flag class, 0 to 1.
        entropy_bits: Entropy of the prior-corrected scores.
        distance: To the nearest region reviewed or listed before, in standard deviations; None where there is none.
        model_sha256: Model whose scores these are.
    """

    slide_id: str
    geometry: str
    score: float
    entropy_bits: float
    distance: float | None
    model_sha256: str


def query_list_text(queries: Sequence[Query]) -> str:
    """The table as text."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for order, query_row in enumerate(queries, start=1):
        distance = "" if query_row.distance is None else f"{query_row.distance:.4f}"
        cells = [
            str(order), query_row.slide_id, query_row.geometry, f"{query_row.score:.4f}", f"{query_row.entropy_bits:.4f}",
            distance, query_row.model_sha256, QUERY_LIST_VERSION,
        ]  # fmt: skip
        writer.writerow([safe_cell(cell) for cell in cells])
    return buffer.getvalue()


def read_query_list(path: Path) -> list[tuple[str, str]]:
    """Slides and outlines of the regions in a query list, in its order.

    Raises:
        ManifestError: The table is missing or of another form.
    """
    columns, rows = csv_rows(path, read_text(path, "make it with `inkdot review next`"))
    geometry = "geometry" if "geometry" in columns else "place"
    missing = [name for name in ("slide_id", "geometry", "schema") if name not in {*columns, "geometry"}]
    if geometry not in columns:
        missing.append("geometry")
    if missing:
        raise ManifestError(
            f"{path}: expected a list of `inkdot review next`, found no column {missing[0]!r}; run it again"
        )
    listed = [row.cells for row in rows]
    if wrong := [
        row["schema"] for row in listed if row["schema"] not in {QUERY_LIST_VERSION, _EARLIER_VERSION}
    ]:
        raise ManifestError(f"{path}: column schema: expected {QUERY_LIST_VERSION}, found {wrong[0]!r}")
    return [(plain_text(row["slide_id"]), row[geometry]) for row in listed]
