"""Read and check ``verdicts.csv``, and match verdicts to regions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.errors import ManifestError
from inkdot.labels import FINDER_HEAD, Head
from inkdot.manifest.csv_table import csv_rows, read_text
from inkdot.review.verdicts.csv_cells import plain_text
from inkdot.review.verdicts.questions import check_answer
from inkdot.storage.tables.labels_table import read_region
from inkdot.storage.verdict_schema import KINDS, AnswerKind

VERDICTS_VERSION = "inkdot.verdicts/3"
COLUMNS = (
    "slide_id", "kind", "geometry", "head", "verdict", "means", "reader", "time", "shown", "rank", "score", "note",
    "model_sha256", "order_seed", "schema",
)  # fmt: skip
EARLIER_VERSIONS = ("inkdot.verdicts/1", "inkdot.verdicts/2")
"""Read as well: their answers are all about regions. The columns of the first are renamed."""

_NEW_COLUMNS = ("kind", "means")
_COLUMNS_OF_EARLIER_VERSION = {"place": "geometry", "answer": "verdict"}
SHOWN = ("scores", "blinded")

_SAME_REGION_IOU = 0.5
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer of one reader about one region, or about a slide.

    Attributes:
        slide_id: The slide.
        geometry: Polygon in level-0 pixels; an empty one where the answer is about the slide.
        head: The head; empty for a note without a verdict. Of a slide ``adequacy`` or ``category``, of a missed region
            ``missed``; see :mod:`inkdot.review.verdicts.questions`.
        verdict: The reader's verdict.
        reader: Pseudonym of the reader.
        time: When, in UTC as ISO 8601, so that texts sort by time.
        shown: ``scores`` or ``blinded``: what the reader saw.
        note: Free text of the reader.
        model_sha256: Model whose regions were shown.
        kind: What it is about: ``region`` (one that was shown), ``slide``, or ``missed`` (one that the reader marked).
        means: What the category of a slide stands for, one of :data:`inkdot.config.MEANINGS`; else empty.
    """

    slide_id: str
    geometry: BaseGeometry
    head: str
    verdict: str
    reader: str
    time: str
    shown: str
    note: str
    model_sha256: str
    kind: AnswerKind = "region"
    means: str = ""


def read_verdicts(path: Path, heads: Sequence[Head]) -> list[Verdict]:
    """Read and check a verdicts table as saved by the gallery or by a spreadsheet program.

    Spreadsheet programs may separate cells by semicolons and keep empty rows. Tables of the earlier version are read too.

    Raises:
        ManifestError: The table is missing, of another version, or a row is wrong.
    """
    text = read_text(path, "give a verdicts.csv that the gallery saved")
    mark = ";" if re.match(r"[^,\r\n]*;", text) else ","
    columns, rows = csv_rows(path, text, delimiter=mark)
    found = tuple(_COLUMNS_OF_EARLIER_VERSION.get(name, name) for name in columns)
    missing = [name for name in COLUMNS if name not in found and name not in _NEW_COLUMNS]
    if missing:
        raise ManifestError(
            f"{path}: expected a column {missing[0]!r}, found {', '.join(found) or 'no columns'}; "
            "give a verdicts.csv that the gallery saved"
        )
    verdicts: list[Verdict] = []
    for row in rows:
        cells = dict.fromkeys(_NEW_COLUMNS, "") | {
            _COLUMNS_OF_EARLIER_VERSION.get(name, name): cell for name, cell in row.cells.items()
        }
        verdicts.append(verdict_of_row(row.where, cells, heads))
    return verdicts


def latest_verdicts(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The last verdict of each reader per head and region, sorted by slide, region, head and reader.

    Only of regions that were shown: :func:`inkdot.review.verdicts.answers.read_answers` has the other answers too.

    Tables saved at different times repeat verdicts, and a reader may change a verdict. "Not a cell" and verdicts on the
    heads exclude each other: what is older gives way. Notes without a verdict are left out.
    """
    last: dict[tuple[str, str, str, str], Verdict] = {}
    for verdict in verdicts:
        if not verdict.head or verdict.kind != "region":
            continue
        key = (verdict.slide_id, shapely.to_wkt(verdict.geometry), verdict.head, verdict.reader)
        if key not in last or verdict.time >= last[key].time:
            last[key] = verdict
    no_cell: dict[tuple[str, ...], str] = {}
    a_class: dict[tuple[str, ...], str] = {}
    for (slide_id, region, head, reader), verdict in last.items():
        times, where = (no_cell if head == FINDER_HEAD.name else a_class), (slide_id, region, reader)
        times[where] = max(times.get(where, ""), verdict.time)

    def counts(key: tuple[str, str, str, str]) -> bool:
        where = (key[0], key[1], key[3])
        if key[2] == FINDER_HEAD.name:
            return a_class.get(where, "") <= last[key].time
        return no_cell.get(where, "") < last[key].time

    return [last[key] for key in sorted(last) if counts(key)]


class MatchedRegion(Protocol):
    """A record about a region of a slide."""

    @property
    def slide_id(self) -> str:
        """The slide."""
        ...

    @property
    def geometry(self) -> BaseGeometry:
        """Polygon in level-0 pixels."""
        ...


def same_region_numbers(verdicts: Sequence[MatchedRegion]) -> list[int]:
    """A number per verdict, equal where two verdicts are about the same region.

    Regions are the same where they overlap by at least half of their union, so that verdicts from before and
    after another tiling still match. Each verdict joins the region that it overlaps most.
    """
    outlines: dict[str, list[tuple[int, BaseGeometry]]] = {}
    numbers: list[int] = []
    count = 0
    for verdict in verdicts:
        known = outlines.setdefault(verdict.slide_id, [])
        best, overlap = -1, 0.0
        for number, outline in known:
            iou = _iou(outline, verdict.geometry)
            if iou > overlap:
                best, overlap = number, iou
        if overlap < _SAME_REGION_IOU:
            best, count = count, count + 1
            known.append((best, verdict.geometry))
        numbers.append(best)
    return numbers


def regions_with_verdict(regions: Sequence[BaseGeometry], reviewed: Sequence[BaseGeometry]) -> list[bool]:
    """Per region of one slide, whether one of the reviewed outlines is about the same region."""
    tree = shapely.STRtree(reviewed)
    return [
        any(_iou(region, reviewed[int(index)]) >= _SAME_REGION_IOU for index in tree.query(region))
        for region in regions
    ]


def _iou(first: BaseGeometry, second: BaseGeometry) -> float:
    a, b = first.bounds, second.bounds
    if a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]:
        return 0.0
    shared = first.intersection(second).area
    return shared / (first.area + second.area - shared)


def verdict_of_row(where: str, cells: Mapping[str, str], heads: Sequence[Head]) -> Verdict:
    """One row of the table, checked.

    Args:
        where: Name of the row in messages.
        cells: The row by column.
        heads: The heads that may be reviewed.

    Raises:
        ManifestError: A cell is invalid.
    """
    row = cells
    if row["schema"] not in {VERDICTS_VERSION, *EARLIER_VERSIONS}:
        raise ManifestError(f"{where}: column schema: expected {VERDICTS_VERSION}, found {row['schema']!r}")
    kind = _kind(where, row["kind"])
    if row["head"] or row["verdict"]:
        check_answer(where, kind, row, heads)
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
        geometry=shapely.Polygon() if kind == "slide" else _geometry(where, row["geometry"]),
        head=row["head"],
        verdict=plain_text(row["verdict"]),
        reader=plain_text(row["reader"]),
        time=row["time"],
        shown=row["shown"],
        note=plain_text(row["note"]),
        model_sha256=row["model_sha256"],
        kind=kind,
        means=row["means"],
    )


def _kind(where: str, text: str) -> AnswerKind:
    for kind in KINDS:
        if text == kind:
            return kind
    if not text:
        return "region"
    raise ManifestError(f"{where}: column kind: expected {', '.join(KINDS)}, found {text[:60]!r}")


def _geometry(where: str, text: str) -> BaseGeometry:
    region = read_region(where, text)
    if region.geom_type != "Polygon":
        raise ManifestError(
            f"{where}: column geometry: expected a single POLYGON in level-0 pixels (WKT), found {text[:60]!r}"
        )
    return region
