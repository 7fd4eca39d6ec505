"""``next.csv``: the places to ask about next, most worth asking first."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inkdot.errors import ManifestError
from inkdot.review.verdicts.csv_cells import plain_text, safe_cell

QUESTIONS_VERSION = "inkdot.questions/1"
MOST_OF_A_SLIDE = 2000
"""Places of one slide that are considered, by score: what lies below is as sure as the model can be."""

COLUMNS = ("order", "slide_id", "place", "score", "uncertainty_bits", "distance", "model_sha256", "schema")


@dataclass(frozen=True, slots=True)
class Question:
    """One place worth asking about.

    Attributes:
        slide_id: The slide.
        place: WKT POLYGON in level-0 pixels.
        score: Score of the flag class, 0 to 1.
        uncertainty_bits: Entropy of the scores.
        distance: To the nearest place asked or listed before, in standard deviations; None for the first of all.
        model_sha256: Model whose scores these are.
    """

    slide_id: str
    place: str
    score: float
    uncertainty_bits: float
    distance: float | None
    model_sha256: str


def questions_text(questions: Sequence[Question]) -> str:
    """The table as text."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for order, question in enumerate(questions, start=1):
        distance = "" if question.distance is None else f"{question.distance:.4f}"
        cells = [
            str(order), question.slide_id, question.place, f"{question.score:.4f}", f"{question.uncertainty_bits:.4f}",
            distance, question.model_sha256, QUESTIONS_VERSION,
        ]  # fmt: skip
        writer.writerow([safe_cell(cell) for cell in cells])
    return buffer.getvalue()


def read_questions(path: Path) -> list[tuple[str, str]]:
    """Slides and outlines of the places in such a table, in its order.

    Raises:
        ManifestError: The table is missing or of another form.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: expected a list of `inkdot review next`: {error}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in ("slide_id", "place", "schema") if name not in (reader.fieldnames or ())]
    if missing:
        raise ManifestError(
            f"{path}: expected a list of `inkdot review next`, found no column {missing[0]!r}; run it again"
        )
    rows = list(reader)
    if wrong := [row["schema"] for row in rows if row["schema"] != QUESTIONS_VERSION]:
        raise ManifestError(f"{path}: column schema: expected {QUESTIONS_VERSION}, found {wrong[0]!r}")
    return [(plain_text(row["slide_id"]), row["place"]) for row in rows]
