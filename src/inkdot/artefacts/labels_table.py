"""``labels.csv``: what people said about places, annotations and verdicts alike."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.artefacts.atomic import write_text
from inkdot.errors import ManifestError
from inkdot.labels import Head

COLUMNS = ("slide_id", "place", "head", "answer", "reader", "source")


@dataclass(frozen=True, slots=True)
class PlaceLabel:
    """One answer about one place.

    Attributes:
        slide_id: The slide.
        place: Polygon in level-0 pixels.
        head: The question.
        answer: What the reader said.
        reader: Who said it (a pseudonym).
        source: Where it came from, e.g. ``annotation`` or ``review``.
    """

    slide_id: str
    place: BaseGeometry
    head: str
    answer: str
    reader: str
    source: str


def write_labels(path: Path, labels: Iterable[PlaceLabel]) -> None:
    """Write a labels table atomically, in the order given."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for label in labels:
        place = shapely.to_wkt(label.place, rounding_precision=1, trim=True)
        writer.writerow([label.slide_id, place, label.head, label.answer, label.reader, label.source])
    write_text(path, buffer.getvalue())


def read_labels(path: Path, heads: Sequence[Head]) -> list[PlaceLabel]:
    """Read and validate a labels table.

    Raises:
        ManifestError: The table is missing, or a row's place, head or answer is wrong.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ManifestError(f"{path}: expected a labels table, found nothing there; correct the column annotation") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: expected a labels table in UTF-8: {error}") from None
    reader = csv.DictReader(io.StringIO(text))
    found = tuple(reader.fieldnames or ())
    if not set(COLUMNS) <= set(found):
        raise ManifestError(f"{path}: expected columns {', '.join(COLUMNS)}, found {', '.join(found) or 'none'}")
    answers = {head.name: head.answers for head in heads}
    labels: list[PlaceLabel] = []
    for row in reader:
        where = f"{path}: line {reader.line_num}"
        head, answer = row["head"] or "", row["answer"] or ""
        if head not in answers:
            raise ManifestError(f"{where}: column head: expected {', '.join(answers)}, found {head!r}")
        if answer not in answers[head]:
            raise ManifestError(f"{where}: column answer: expected {', '.join(answers[head])}, found {answer!r}")
        place = _place(where, row["place"] or "")
        labels.append(PlaceLabel(row["slide_id"] or "", place, head, answer, row["reader"] or "", row["source"] or ""))
    return labels


def _place(where: str, text: str) -> BaseGeometry:
    try:
        place = shapely.from_wkt(text)
    except shapely.errors.GEOSException:
        place = None
    if place is None or place.geom_type not in {"Polygon", "MultiPolygon"} or place.is_empty or not place.is_valid:
        raise ManifestError(f"{where}: column place: expected a valid POLYGON in level-0 pixels (WKT), found {text[:60]!r}")
    return place
