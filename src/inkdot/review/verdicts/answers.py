"""All that readers answered, by what it is about: regions that were shown, slides, and regions that they marked as missed.

For reports and studies: :func:`read_answers` reads ``verdicts.csv`` and ``reviews.sqlite`` alike.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.labels import Head
from inkdot.review.verdicts.questions import ADEQUACY, ADEQUATE, CATEGORY, INADEQUATE, MISSED, NEGATIVE
from inkdot.review.verdicts.stored_verdicts import read_stored_answers
from inkdot.review.verdicts.verdict_table import Verdict, latest_verdicts


@dataclass(frozen=True, slots=True)
class SlideAnswer:
    """What one reader says about one slide as a whole.

    Attributes:
        slide_id: The slide.
        reader: Pseudonym of the reader.
        adequate: Whether its material is enough to judge it; None where not answered.
        category: Its category in the words of the laboratory; empty where not answered.
        means: What that category stands for, one of :data:`inkdot.config.MEANINGS`; empty where not answered.
        note: Free text.
        time: Of the last of these answers, in UTC as ISO 8601.
        shown: ``scores`` or ``blinded``: what the reader saw.
        model_sha256: Model whose regions were shown.
    """

    slide_id: str
    reader: str
    adequate: bool | None
    category: str
    means: str
    note: str
    time: str
    shown: str
    model_sha256: str


@dataclass(frozen=True, slots=True)
class MissedRegion:
    """A region that one reader marked because nothing was shown there.

    Attributes:
        slide_id: The slide.
        reader: Pseudonym of the reader.
        geometry: Polygon in level-0 pixels.
        verdict: The label of the flag class such as ``malignant``, ``other`` or ``look_again``.
        note: Free text.
        time: When, in UTC as ISO 8601.
        shown: ``scores`` or ``blinded``: what the reader saw.
        model_sha256: Model whose regions were shown.
    """

    slide_id: str
    reader: str
    geometry: BaseGeometry
    verdict: str
    note: str
    time: str
    shown: str
    model_sha256: str


@dataclass(frozen=True, slots=True)
class Answers:
    """The last answers of all readers, sorted by slide, region and reader.

    Attributes:
        regions: About regions that were shown, one per head.
        slides: About slides.
        missed: Regions marked as missed.
    """

    regions: tuple[Verdict, ...]
    slides: tuple[SlideAnswer, ...]
    missed: tuple[MissedRegion, ...]


def read_answers(paths: Iterable[Path], heads: Sequence[Head]) -> Answers:
    """Read tables and databases; of repeated answers of a reader the last one counts.

    Raises:
        ManifestError: A table is missing, of another version, or a row is wrong.
        StorageError: A database is damaged, or of another kind or version.
    """
    return answers_of([answer for path in paths for answer in read_stored_answers(path, heads)])


def answers_of(rows: Sequence[Verdict]) -> Answers:
    """Answers from rows of one or several tables."""
    return Answers(tuple(latest_verdicts(rows)), _slides(rows), _missed(rows))


def _slides(rows: Sequence[Verdict]) -> tuple[SlideAnswer, ...]:
    by_reader: dict[tuple[str, str], list[Verdict]] = {}
    for row in rows:
        if row.kind == "slide":
            by_reader.setdefault((row.slide_id, row.reader), []).append(row)
    found: list[SlideAnswer] = []
    for (slide_id, reader), own in sorted(by_reader.items()):
        own.sort(key=lambda row: row.time)
        last = {row.head: row for row in own}
        adequacy, category = last.get(ADEQUACY), last.get(CATEGORY)
        if adequacy and category and adequacy.verdict == INADEQUATE and category.means == NEGATIVE:
            # Only after an edit by hand: pages never store both. The later one counts.
            adequacy, category = (None, category) if adequacy.time < category.time else (adequacy, None)
        found.append(
            SlideAnswer(
                slide_id=slide_id,
                reader=reader,
                adequate=None if adequacy is None else adequacy.verdict == ADEQUATE,
                category="" if category is None else category.verdict,
                means="" if category is None else category.means,
                note=next((row.note for row in reversed(own) if row.note), ""),
                time=own[-1].time,
                shown=own[-1].shown,
                model_sha256=own[-1].model_sha256,
            )
        )
    return tuple(found)


def _missed(rows: Sequence[Verdict]) -> tuple[MissedRegion, ...]:
    last: dict[tuple[str, str, str], Verdict] = {}
    for row in rows:
        if row.kind != "missed" or row.head != MISSED:
            continue
        key = row.slide_id, shapely.to_wkt(row.geometry), row.reader
        if key not in last or row.time >= last[key].time:
            last[key] = row
    return tuple(
        MissedRegion(
            row.slide_id,
            row.reader,
            row.geometry,
            row.verdict,
            row.note,
            row.time,
            row.shown,
            row.model_sha256,
        )
        for _, row in sorted(last.items())
    )
