"""How far a reader is, and when the second reading opens."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from inkdot.review.study.design import Reading
from inkdot.review.verdicts.questions import ADEQUACY, CATEGORY, INADEQUATE
from inkdot.storage.verdict_schema import Change


def answers_of_reading(changes: Iterable[Change], reader: str, reading: Reading) -> list[Change]:
    """The changes of one reader in one reading."""
    return [
        change
        for change in changes
        if change.reader == reader
        and change.study.shown == reading.arm
        and change.study.order_seed == reading.order_seed
    ]


def unanswered(latest: Sequence[Change], regions: Mapping[str, Sequence[str]]) -> list[str]:
    """The slides that a reader has still to answer.

    A slide is answered by its category, by saying that it is inadequate, or by a verdict on each of its places.

    Args:
        latest: The state of every region and slide of the reading.
        regions: Keys of the places by slide, in the order of the reading.
    """
    done: set[str] = set()
    answered: set[str] = set()
    for change in latest:
        verdicts = cast("Mapping[str, Mapping[str, str]]", change.entry["verdicts"])
        if change.kind == "slide":
            if CATEGORY in verdicts or verdicts.get(ADEQUACY, {}).get("verdict") == INADEQUATE:
                done.add(change.slide_id)
        elif verdicts:
            answered.add(change.key)
    return [
        slide
        for slide, keys in regions.items()
        if slide not in done and not (keys and answered.issuperset(keys))
    ]


def second_opens(latest: Sequence[Change], washout_days: float) -> datetime | None:
    """When the second reading opens: so many days after the last answer of the first; None before there is one."""
    times = [change.time for change in latest]
    if not times:
        return None
    last = datetime.fromisoformat(max(times).replace("Z", "+00:00"))
    return last.astimezone(UTC) + timedelta(days=washout_days)
