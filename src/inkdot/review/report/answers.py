"""Readers' answers and notes, matched to the places of a report."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.labels import FINDER_HEAD, Head
from inkdot.review.report.words import plain_line
from inkdot.review.verdicts.verdict_table import Verdict, latest_verdicts, same_region_numbers

_SHOWN_WORDS = {"scores": "saw scores", "blinded": "blinded"}


@dataclass(frozen=True, slots=True)
class _Outline:
    slide_id: str
    geometry: BaseGeometry


@dataclass(frozen=True, slots=True)
class Note:
    """A reader's note.

    Attributes:
        place: Number of the place on the page, 0 for a place that is not on it.
        reader: Pseudonym of the reader.
        text: The note.
    """

    place: int
    reader: str
    text: str


@dataclass(frozen=True, slots=True)
class ReaderLine:
    """What one reader answered on one slide.

    Attributes:
        reader: Pseudonym of the reader.
        slide_id: The slide.
        answers: How many places got which answer, such as ``malignancy: 4 malignant, 12 benign``.
        seen: Whether scores were shown.
        places: Places with an answer.
        last: Date of the last answer, in UTC.
    """

    reader: str
    slide_id: str
    answers: str
    seen: str
    places: int
    last: str


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers and notes for one page.

    Attributes:
        by_place: Per place of the page, answers such as ``dr-a: malignant, small cell``.
        readers: One line per reader and slide.
        notes: Notes on the page's places first.
        elsewhere: Places with an answer that are not on the page.
    """

    by_place: tuple[tuple[str, ...], ...]
    readers: tuple[ReaderLine, ...]
    notes: tuple[Note, ...]
    elsewhere: int


def answers_for(
    places: Sequence[tuple[str, str]],
    verdicts: Sequence[Verdict],
    heads: Sequence[Head],
    slide_ids: Iterable[str],
) -> Answers:
    """Match verdicts to the places of a page: the same where they overlap by half of their union.

    Args:
        places: Slide and outline (WKT in level-0 pixels) of each place.
        verdicts: All verdicts, repeated and changed ones too.
        heads: The heads, in the order in which answers are named.
        slide_ids: The slides of the page.
    """
    wanted = set(slide_ids)
    own = [verdict for verdict in verdicts if verdict.slide_id in wanted]
    outlines = [_Outline(slide_id, shapely.from_wkt(wkt)) for slide_id, wkt in places]
    numbers = same_region_numbers([*outlines, *own])
    place_of = {number: index for index, number in reversed(list(enumerate(numbers[: len(outlines)])))}
    # By identity: a verdict that stands twice in two tables has the same number both times.
    region_of = {id(verdict): number for verdict, number in zip(own, numbers[len(outlines) :], strict=True)}
    kept = latest_verdicts(own)
    by_region: dict[tuple[int, str], dict[str, str]] = {}
    for verdict in kept:
        by_region.setdefault((region_of[id(verdict)], verdict.reader), {})[verdict.head] = verdict.verdict
    by_place = tuple(
        tuple(
            f"{plain_line(reader)}: {_answer(given, heads)}"
            for (region, reader), given in sorted(by_region.items(), key=lambda item: item[0][1])
            if region == number
        )
        for number in numbers[: len(outlines)]
    )
    return Answers(
        by_place=by_place,
        readers=tuple(_reader_lines(kept, region_of, heads)),
        notes=tuple(_notes(own, region_of, place_of)),
        elsewhere=len({region for region, _ in by_region} - set(numbers[: len(outlines)])),
    )


def _answer(given: Mapping[str, str], heads: Sequence[Head]) -> str:
    order = [head.name for head in (FINDER_HEAD, *heads)]
    return ", ".join(_words(given[name]) for name in order if name in given)


def _reader_lines(
    kept: Sequence[Verdict], region_of: Mapping[int, int], heads: Sequence[Head]
) -> Iterable[ReaderLine]:
    grouped: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in kept:
        grouped.setdefault((verdict.slide_id, verdict.reader), []).append(verdict)
    for (slide_id, reader), given in sorted(grouped.items()):
        parts: list[str] = []
        for head in (*heads, FINDER_HEAD):
            counts = Counter(verdict.verdict for verdict in given if verdict.head == head.name)
            if counts:
                listed = ", ".join(f"{counts[name]} {_words(name)}" for name in head.labels if counts[name])
                parts.append(listed if head is FINDER_HEAD else f"{_words(head.name)}: {listed}")
        seen = sorted({_SHOWN_WORDS.get(verdict.shown, verdict.shown) for verdict in given})
        yield ReaderLine(
            reader=plain_line(reader),
            slide_id=slide_id,
            answers="; ".join(parts),
            seen=" and ".join(seen),
            places=len({region_of[id(verdict)] for verdict in given}),
            last=max(verdict.time for verdict in given)[:10],
        )


def _notes(
    verdicts: Sequence[Verdict], region_of: Mapping[int, int], place_of: Mapping[int, int]
) -> list[Note]:
    """The last note of every reader on every place."""
    last: dict[tuple[int, str], Verdict] = {}
    for verdict in verdicts:
        key = (region_of[id(verdict)], verdict.reader)
        if key not in last or verdict.time >= last[key].time:
            last[key] = verdict
    notes = [
        Note(place_of.get(region, -1) + 1, plain_line(reader), text)
        for (region, reader), verdict in last.items()
        if (text := plain_line(verdict.note))
    ]
    return sorted(notes, key=lambda note: (note.place == 0, note.place, note.reader, note.text))


def _words(name: str) -> str:
    return name.replace("_", " ")
