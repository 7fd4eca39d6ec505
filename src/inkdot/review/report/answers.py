"""Readers' answers and notes, matched to the places of a report."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.labels import FINDER_HEAD, Head
from inkdot.review.report.words import plain_line
from inkdot.review.verdicts.answers import MissedRegion, SlideAnswer, answers_of
from inkdot.review.verdicts.verdict_table import Verdict, same_region_numbers

_SHOWN_WORDS = {"scores": "saw scores", "blinded": "blinded"}


@dataclass(frozen=True, slots=True)
class _Outline:
    slide_id: str
    geometry: BaseGeometry


@dataclass(frozen=True, slots=True)
class Note:
    """A reader's note.

    Attributes:
        about: What it is about, such as ``place 3``.
        reader: Pseudonym of the reader.
        text: The note.
    """

    about: str
    reader: str
    text: str


@dataclass(frozen=True, slots=True)
class ReaderLine:
    """What one reader answered on one slide.

    Attributes:
        reader: Pseudonym of the reader.
        slide_id: The slide.
        slide: What the reader said of the slide as a whole, such as ``adequate, suspicious``; empty where nothing.
        answers: How many places got which answer, such as ``malignancy: 4 malignant, 12 benign``.
        seen: Whether scores were shown.
        places: Places with an answer.
        last: Date of the last answer, in UTC.
    """

    reader: str
    slide_id: str
    slide: str
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
        notes: Notes on slides first, then on the page's places.
        elsewhere: Places with an answer that are not on the page.
    """

    by_place: tuple[tuple[str, ...], ...]
    readers: tuple[ReaderLine, ...]
    notes: tuple[Note, ...]
    elsewhere: int


def answers_for(
    places: Sequence[tuple[str, str]],
    rows: Sequence[Verdict],
    heads: Sequence[Head],
    slide_ids: Iterable[str],
) -> Answers:
    """Match answers to the places of a page: the same where they overlap by half of their union.

    Args:
        places: Slide and outline (WKT in level-0 pixels) of each place.
        rows: All answers, repeated and changed ones and those about slides too.
        heads: The heads, in the order in which answers are named.
        slide_ids: The slides of the page.
    """
    wanted = set(slide_ids)
    own = [row for row in rows if row.slide_id in wanted]
    last = answers_of(own)
    regions = [row for row in own if row.kind == "region"]
    outlines = [_Outline(slide_id, shapely.from_wkt(wkt)) for slide_id, wkt in places]
    numbers = same_region_numbers([*outlines, *regions])
    shown = numbers[: len(outlines)]
    # By identity: a verdict that stands twice in two tables has the same number both times.
    region_of = {id(row): number for row, number in zip(regions, numbers[len(outlines) :], strict=True)}
    by_region: dict[tuple[int, str], dict[str, str]] = {}
    for verdict in last.regions:
        by_region.setdefault((region_of[id(verdict)], verdict.reader), {})[verdict.head] = verdict.verdict
    by_place = tuple(
        tuple(
            f"{plain_line(reader)}: {_answer(given, heads)}"
            for (region, reader), given in sorted(by_region.items(), key=lambda item: item[0][1])
            if region == number
        )
        for number in shown
    )
    return Answers(
        by_place=by_place,
        readers=tuple(_reader_lines(last.regions, last.slides, last.missed, region_of, heads)),
        notes=(
            *_slide_notes(last.slides),
            *_region_notes(regions, region_of, shown),
            *_missed_notes(last.missed),
        ),
        elsewhere=len({region for region, _ in by_region} - set(shown)),
    )


def _answer(given: Mapping[str, str], heads: Sequence[Head]) -> str:
    order = [head.name for head in (FINDER_HEAD, *heads)]
    return ", ".join(_words(given[name]) for name in order if name in given)


def _reader_lines(
    regions: Sequence[Verdict],
    slides: Sequence[SlideAnswer],
    missed: Sequence[MissedRegion],
    region_of: Mapping[int, int],
    heads: Sequence[Head],
) -> Iterable[ReaderLine]:
    every: dict[tuple[str, str], list[Verdict | SlideAnswer | MissedRegion]] = {}
    for answer in (*regions, *slides, *missed):
        every.setdefault((answer.slide_id, answer.reader), []).append(answer)
    for (slide_id, reader), given in sorted(every.items()):
        own = [answer for answer in given if isinstance(answer, Verdict)]
        parts: list[str] = []
        for head in (*heads, FINDER_HEAD):
            counts = Counter(verdict.verdict for verdict in own if verdict.head == head.name)
            if counts:
                listed = ", ".join(f"{counts[name]} {_words(name)}" for name in head.labels if counts[name])
                parts.append(listed if head is FINDER_HEAD else f"{_words(head.name)}: {listed}")
        marked = Counter(answer.verdict for answer in given if isinstance(answer, MissedRegion))
        if marked:
            listed = ", ".join(f"{count} {_words(name)}" for name, count in sorted(marked.items()))
            parts.append(f"marked as missed: {listed}")
        seen = sorted({_SHOWN_WORDS.get(answer.shown, answer.shown) for answer in given})
        yield ReaderLine(
            reader=plain_line(reader),
            slide_id=slide_id,
            slide="; ".join(_slide_words(answer) for answer in given if isinstance(answer, SlideAnswer)),
            answers="; ".join(parts),
            seen=" and ".join(seen),
            places=len({region_of[id(verdict)] for verdict in own}),
            last=max(answer.time for answer in given)[:10],
        )


def _slide_words(answer: SlideAnswer) -> str:
    """Adequacy and category, with what the category stands for where the laboratory's word is another."""
    parts = [] if answer.adequate is None else ["adequate" if answer.adequate else "inadequate"]
    if answer.category:
        same = answer.means.casefold() in answer.category.casefold()
        parts.append(answer.category if same else f"{answer.category} ({answer.means})")
    return plain_line(", ".join(parts))


def _slide_notes(slides: Sequence[SlideAnswer]) -> list[Note]:
    return [
        Note("the slide", plain_line(answer.reader), text)
        for answer in slides
        if (text := plain_line(answer.note))
    ]


def _missed_notes(missed: Sequence[MissedRegion]) -> list[Note]:
    return [
        Note("a missed place", plain_line(answer.reader), text)
        for answer in missed
        if (text := plain_line(answer.note))
    ]


def _region_notes(
    regions: Sequence[Verdict], region_of: Mapping[int, int], shown: Sequence[int]
) -> list[Note]:
    """The last note of every reader on every place; those on the page's places first, in their order."""
    last: dict[tuple[int, str], Verdict] = {}
    for verdict in regions:
        key = (region_of[id(verdict)], verdict.reader)
        if key not in last or verdict.time >= last[key].time:
            last[key] = verdict
    found = [
        (shown.index(region) if region in shown else len(shown), plain_line(reader), text)
        for (region, reader), verdict in last.items()
        if (text := plain_line(verdict.note))
    ]
    return [
        Note(f"place {index + 1}" if index < len(shown) else "another place", reader, text)
        for index, reader, text in sorted(found)
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")
