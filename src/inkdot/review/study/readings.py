"""What each reader said of each case in each arm, as a rating, and how long it took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from inkdot.labels import Head
from inkdot.review.study.design import Arm, StudyDesign
from inkdot.review.study.progress import answers_of_reading
from inkdot.review.verdicts.questions import CATEGORY
from inkdot.storage.verdict_schema import Change

RATINGS: Final = {"negative": 1.0, "atypical": 2.0, "suspicious": 3.0, "malignant": 4.0}
"""Ratings of the meanings of slide categories; a non-diagnostic slide has none."""

_LOWEST, _HIGHEST = 1.0, 4.0


@dataclass(frozen=True, slots=True)
class CaseReading:
    """One case read by one reader in one arm.

    Attributes:
        reader: Pseudonym of the reader.
        arm: What was shown.
        slide_id: The case.
        rating: 1 negative to 4 malignant; None where none was given.
        source: ``slide`` for the answer about the slide, ``places`` for the most suspicious verdict on a place, blank for none.
        seconds: Time between answers that was spent on the case; None where none could be measured.
    """

    reader: str
    arm: Arm
    slide_id: str
    rating: float | None
    source: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class AnswerTime:
    """One answer and the time since the one before it.

    Attributes:
        reader: Pseudonym of the reader.
        arm: What was shown.
        slide_id: The slide.
        kind: ``region``, ``slide`` or ``missed``: what was answered.
        place: Number on the card; 0 for an answer about the slide.
        time: Of the answer, in UTC as ISO 8601.
        seconds: Since the reader's answer before; None for the first, and after a pause.
    """

    reader: str
    arm: Arm
    slide_id: str
    kind: str
    place: int
    time: str
    seconds: float | None


def answer_times(
    history: Sequence[Change], design: StudyDesign, names: Mapping[str, str], longest_pause_s: float
) -> list[AnswerTime]:
    """Every answer with the time since the reader's answer before, in the same reading.

    The server stores when an answer was given, not when a place was opened. So the time of a place runs from the answer before
    it, and is not known for the first answer and after a pause.

    Args:
        history: All changes in their order.
        design: The study.
        names: slide_id by the name that was shown, where that is a pseudonym.
        longest_pause_s: A longer time between two answers is a pause, and is not counted.
    """
    found: list[AnswerTime] = []
    for plan in design.readers:
        for reading in (plan.first, plan.second):
            before: datetime | None = None
            for change in answers_of_reading(history, plan.reader, reading):
                now = datetime.fromisoformat(change.time.replace("Z", "+00:00"))
                seconds = None if before is None else (now - before).total_seconds()
                before = now
                if seconds is not None and not 0.0 <= seconds <= longest_pause_s:
                    seconds = None
                slide_id = names.get(change.slide_id, change.slide_id)
                found.append(
                    AnswerTime(
                        plan.reader, reading.arm, slide_id, change.kind, change.rank, change.time, seconds
                    )
                )
    return found


def case_readings(
    latest: Sequence[Change],
    times: Sequence[AnswerTime],
    design: StudyDesign,
    names: Mapping[str, str],
    head: Head,
) -> list[CaseReading]:
    """Every case of every reader in both arms, by reader, arm and case.

    Args:
        latest: The state of every region and slide.
        times: Of all answers.
        design: The study.
        names: slide_id by the name that was shown, where that is a pseudonym.
        head: The flagging head, whose verdicts stand in where no category was given.
    """
    spent: dict[tuple[str, str, str], float] = {}
    for answer in times:
        if answer.seconds is not None:
            key = answer.reader, answer.arm, answer.slide_id
            spent[key] = spent.get(key, 0.0) + answer.seconds
    found: list[CaseReading] = []
    for plan in design.readers:
        for reading in sorted((plan.first, plan.second), key=lambda one: one.arm):
            by_slide: dict[str, list[Change]] = {}
            for change in answers_of_reading(latest, plan.reader, reading):
                by_slide.setdefault(names.get(change.slide_id, change.slide_id), []).append(change)
            for slide_id in design.cases:
                rating, source = _rating(by_slide.get(slide_id, []), head)
                seconds = spent.get((plan.reader, reading.arm, slide_id))
                found.append(CaseReading(plan.reader, reading.arm, slide_id, rating, source, seconds))
    return found


def _rating(changes: Sequence[Change], head: Head) -> tuple[float | None, str]:
    verdicts = [
        (change.kind, cast("Mapping[str, Mapping[str, str]]", change.entry["verdicts"])) for change in changes
    ]
    for kind, given in verdicts:
        if kind == "slide" and CATEGORY in given:
            return RATINGS.get(given[CATEGORY].get("means", "")), "slide"
    weights = [
        head.labels[given[head.name]["verdict"]].get(head.flag_class or "", 0.0)
        for kind, given in verdicts
        if kind == "region" and head.name in given and head.labels.get(given[head.name]["verdict"])
    ]
    if not weights:
        return None, ""
    return _LOWEST + (_HIGHEST - _LOWEST) * max(weights), "places"
