"""``verdicts.csv``: what readers answered, read back, checked, and matched place by place."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.errors import ManifestError
from inkdot.labels import Head
from inkdot.review.verdicts.csv_cells import plain_text

VERDICTS_VERSION = "inkdot.verdicts/1"
COLUMNS = (
    "slide_id", "place", "head", "answer", "reader", "time", "shown", "rank", "score", "note", "model_sha256",
    "order_seed", "schema",
)  # fmt: skip
SHOWN = ("scores", "blinded")

_SAME_PLACE_IOU = 0.5
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer of one reader about one place.

    Attributes:
        slide_id: The slide.
        place: Polygon in level-0 pixels.
        head: The question; empty for a note without an answer.
        answer: What the reader said.
        reader: Pseudonym of the reader.
        time: When, in UTC as ISO 8601, so that texts sort by time.
        shown: ``scores`` or ``blinded``: what the reader saw.
        note: Free text of the reader.
        model_sha256: Model whose places were shown.
    """

    slide_id: str
    place: BaseGeometry
    head: str
    answer: str
    reader: str
    time: str
    shown: str
    note: str
    model_sha256: str


def read_verdicts(path: Path, heads: Sequence[Head]) -> list[Verdict]:
    """Read and check a verdicts table as the gallery saves it, or a spreadsheet after it.

    Some spreadsheets part cells by semicolons, and keep rows in which nothing stands.

    Raises:
        ManifestError: The table is missing, of another version, or a row is wrong.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ManifestError(f"{path}: expected a verdicts table, found nothing there") from None
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}: expected a verdicts table in UTF-8, found another encoding ({error.reason}); "
            "in a spreadsheet save it as CSV UTF-8"
        ) from None
    except OSError as error:
        raise ManifestError(f"{path}: expected a verdicts table: {error}") from None
    mark = ";" if re.match(r"[^,\r\n]*;", text) else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark)
    found = tuple(reader.fieldnames or ())
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise ManifestError(
            f"{path}: expected a column {missing[0]!r}, found {', '.join(found) or 'no columns'}; "
            "give a verdicts.csv that the gallery saved"
        )
    return [
        verdict_of_row(f"{path}: line {reader.line_num}", cast("dict[str | None, str | None]", row), heads)
        for row in reader
        if any(row.values())
    ]


def latest_answers(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The last answer of each reader to each question about each place, sorted by slide, place, head and reader.

    A page saved twice holds the same answers twice, and a reader may have changed their mind in between. Notes
    without an answer are left out.
    """
    last: dict[tuple[str, str, str, str], Verdict] = {}
    for verdict in verdicts:
        if not verdict.head:
            continue
        key = (verdict.slide_id, shapely.to_wkt(verdict.place), verdict.head, verdict.reader)
        if key not in last or verdict.time >= last[key].time:
            last[key] = verdict
    return [last[key] for key in sorted(last)]


class Placed(Protocol):
    """Something said about a place of a slide."""

    @property
    def slide_id(self) -> str:
        """The slide."""
        ...

    @property
    def place(self) -> BaseGeometry:
        """Polygon in level-0 pixels."""
        ...


def same_place_numbers(verdicts: Sequence[Placed]) -> list[int]:
    """A number per verdict, equal where two verdicts are about the same place.

    Places are the same where they overlap by at least half of their union, so that answers given before and
    after slides were tiled anew still meet. Each verdict joins the place it overlaps most.
    """
    outlines: dict[str, list[tuple[int, BaseGeometry]]] = {}
    numbers: list[int] = []
    count = 0
    for verdict in verdicts:
        known = outlines.setdefault(verdict.slide_id, [])
        best, overlap = -1, 0.0
        for number, outline in known:
            iou = _iou(outline, verdict.place)
            if iou > overlap:
                best, overlap = number, iou
        if overlap < _SAME_PLACE_IOU:
            best, count = count, count + 1
            known.append((best, verdict.place))
        numbers.append(best)
    return numbers


def places_answered(places: Sequence[BaseGeometry], answered: Sequence[BaseGeometry]) -> list[bool]:
    """Per place of one slide, whether one of the answered outlines is about the same place."""
    tree = shapely.STRtree(answered)
    return [
        any(_iou(place, answered[int(index)]) >= _SAME_PLACE_IOU for index in tree.query(place))
        for place in places
    ]


def _iou(first: BaseGeometry, second: BaseGeometry) -> float:
    a, b = first.bounds, second.bounds
    if a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]:
        return 0.0
    shared = first.intersection(second).area
    return shared / (first.area + second.area - shared)


def verdict_of_row(
    where: str, cells: Mapping[str | None, str | None] | Mapping[str, str], heads: Sequence[Head]
) -> Verdict:
    """One row of the table, checked.

    Args:
        where: What messages call the row.
        cells: The row by column; None where it has more or fewer fields than the header.
        heads: The questions that may be answered.

    Raises:
        ManifestError: Something in it is wrong.
    """
    if None in cells or None in cells.values():
        raise ManifestError(f"{where}: expected as many fields as the header has, found more or fewer")
    row = {str(name): value or "" for name, value in cells.items()}
    if row["schema"] != VERDICTS_VERSION:
        raise ManifestError(f"{where}: column schema: expected {VERDICTS_VERSION}, found {row['schema']!r}")
    head, answer = row["head"], row["answer"]
    if head or answer:
        answers = {known.name: known.answers for known in heads}
        if head not in answers:
            raise ManifestError(f"{where}: column head: expected {', '.join(answers)}, found {head!r}")
        if answer not in answers[head]:
            raise ManifestError(
                f"{where}: column answer: expected {', '.join(answers[head])}, found {answer!r}"
            )
    if row["shown"] not in SHOWN:
        raise ManifestError(f"{where}: column shown: expected {' or '.join(SHOWN)}, found {row['shown']!r}")
    if not _TIME.fullmatch(row["time"]):
        raise ManifestError(
            f"{where}: column time: expected a time in UTC such as 2026-01-31T09:30:00Z, found {row['time']!r}"
        )
    for name in ("slide_id", "reader"):
        if not row[name].strip():
            raise ManifestError(f"{where}: column {name}: expected a name, found nothing")
    return Verdict(
        slide_id=plain_text(row["slide_id"]),
        place=_place(where, row["place"]),
        head=head,
        answer=answer,
        reader=plain_text(row["reader"]),
        time=row["time"],
        shown=row["shown"],
        note=plain_text(row["note"]),
        model_sha256=row["model_sha256"],
    )


def _place(where: str, text: str) -> BaseGeometry:
    try:
        place = shapely.from_wkt(text)
    except shapely.errors.GEOSException:
        place = None
    if place is None or place.geom_type != "Polygon" or place.is_empty or not place.is_valid:
        raise ManifestError(
            f"{where}: column place: expected a valid POLYGON in level-0 pixels (WKT), found {text[:60]!r}"
        )
    return place
