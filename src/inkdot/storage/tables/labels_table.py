"""``labels.csv``: what people said about places, annotations and verdicts alike."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.errors import ManifestError
from inkdot.labels import Head
from inkdot.manifest.csv_table import read_csv
from inkdot.storage.atomic import write_text

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
    table = read_csv(path, COLUMNS, missing_hint="correct the column annotation")
    by_name = {head.name: head for head in heads}
    labels: list[PlaceLabel] = []
    for row in table.rows:
        slide_id, place, head, answer, reader, source = (row.cells[name] for name in COLUMNS)
        if not slide_id:
            raise ManifestError(f"{row.where}: column slide_id: expected a slide, found nothing; fill it in")
        if head not in by_name:
            raise ManifestError(
                f"{row.where}: column head: expected {', '.join(by_name)}, found {head!r}; "
                "correct it, or add the head to the config"
            )
        if answer not in by_name[head].answers:
            raise ManifestError(
                f"{row.where}: column answer: expected {', '.join(by_name[head].answers)}, found {answer!r}; "
                f"correct it, or add the answer to head {head!r} in the config"
            )
        labels.append(PlaceLabel(slide_id, _place(row.where, place), head, answer, reader, source))
    return labels


def _place(where: str, text: str) -> BaseGeometry:
    try:
        with np.errstate(invalid="ignore"):  # "nan" is refused below, in words
            place = shapely.from_wkt(text)
    except shapely.errors.GEOSException:
        place = None
    if (
        place is None
        or place.geom_type not in {"Polygon", "MultiPolygon"}
        or place.is_empty
        or not place.is_valid
        or not np.isfinite(shapely.get_coordinates(place)).all()
    ):
        raise ManifestError(
            f"{where}: column place: expected a POLYGON in level-0 pixels (WKT) whose outline does not cross itself, "
            f"found {text[:60]!r}; redraw it"
        )
    return place
