"""Answers of a reader: checked, kept, and read back for a page or a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from inkdot.labels import Head
from inkdot.serve.readers import Reader
from inkdot.serve.shown_results import Shown
from inkdot.storage.verdict_store import AnswerStore, Change, Entry

LONGEST_NOTE = 2000
MOST_STEPS = 200
"""Steps back that a page is given when it is opened."""

_LISTED = ("id", "problem", "warnings", "call", "score", "flagged_places")
_MOST_OF_IT = 0.5  # an answer that means a class by more than this opens the questions that depend on it


class AnswerRefusedError(ValueError):
    """What was sent is no answer to a question of this review."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a reader sent: the whole state of one place.

    Attributes:
        key: The place.
        answers: Answer by question.
        note: Free text; empty for none.
        is_undo: The reader took an earlier answer back.
    """

    key: str
    answers: Mapping[str, str]
    note: str
    is_undo: bool


def given_from_json(value: object) -> Given:
    """Read what a page sent.

    Raises:
        AnswerRefusedError: It is of another form.
    """
    if not isinstance(value, dict):
        raise AnswerRefusedError("expected an object")
    sent = cast("dict[str, object]", value)
    key, answers, note, undo = (sent.get(name) for name in ("key", "answers", "note", "undo"))
    if not isinstance(key, str) or not isinstance(answers, dict) or not isinstance(note, str):
        raise AnswerRefusedError("expected key, answers and note")
    pairs = cast("dict[object, object]", answers)
    if not all(isinstance(part, str) for pair in pairs.items() for part in pair):
        raise AnswerRefusedError("expected answers by question")
    if len(note) > LONGEST_NOTE:
        raise AnswerRefusedError(f"expected a note of at most {LONGEST_NOTE} characters, found {len(note)}")
    return Given(key, cast("dict[str, str]", pairs), note.strip(), undo is True)


class Answering:
    """The answers of all readers of one review; each is given their own alone.

    Args:
        store: Where they are kept.
        shown: What may be answered.
    """

    def __init__(self, store: AnswerStore, shown: Shown) -> None:
        self._store = store
        self._shown = shown

    def keep(self, reader: Reader, given: Given) -> Entry:
        """Check and keep the state of one place; when this returns, it is on disk.

        The same state sent again changes nothing, so a page may send until it is answered.

        Raises:
            AnswerRefusedError: The place, a question or an answer is none of this review.
        """
        place = self._shown.places.get(given.key)
        if place is None:
            raise AnswerRefusedError("expected a place of this review")
        check_answers(self._shown.heads, given.answers)
        before = self._store.entry(reader.name, self._shown.study, given.key) or _EMPTY
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        after = _entry(before, given, now)
        if after == before:
            return before
        self._store.record(
            Change(
                reader=reader.name,
                study=self._shown.study,
                key=given.key,
                slide_id=place.slide_id,
                place=place.place,
                rank=place.rank,
                score=place.score,
                entry=after,
                is_undo=given.is_undo,
                time=now,
            )
        )
        return after

    def state(self, reader: Reader) -> dict[str, object]:
        """What a page needs of a reader's answers: the state of every place, and the last steps for undo."""
        entries: dict[str, Entry] = {}
        steps: list[dict[str, object]] = []
        for key, entry, is_undo in self._store.history(reader.name, self._shown.study):
            if is_undo and steps:
                steps.pop()
            elif not is_undo:
                steps.append({"key": key, "before": entries.get(key, _EMPTY)})
            entries[key] = entry
        kept = {key: entry for key, entry in entries.items() if key in self._shown.places and entry != _EMPTY}
        known = [step for step in steps if step["key"] in self._shown.places]
        return {"entries": kept, "steps": known[-MOST_STEPS:]}

    def overview(self, reader: Reader) -> dict[str, object]:
        """What the list of slides needs, with how far a reader has come in each; thousands of slides make one page."""
        entries = cast("Mapping[str, Entry]", self.state(reader)["entries"])
        answered = {key for key, entry in entries.items() if entry["answers"]}
        slides = cast("list[Mapping[str, object]]", self._shown.facts["slides"])
        listed: list[dict[str, object]] = []
        for slide in slides:
            keys = cast("list[str]", slide["place_keys"])
            overview = cast("Mapping[str, object] | None", slide["overview"])
            listed.append(
                {name: slide[name] for name in _LISTED if name in slide}
                | {
                    "thumbnail": overview["src"] if overview else None,
                    "viewable": "view" in slide,
                    "places": len(keys),
                    "answered": sum(key in answered for key in keys),
                }
            )
        return {**self._shown.facts, "slides": listed}

    def changes(self, reader: Reader) -> list[Change]:
        """The state of every place that a reader answered in this study, for ``verdicts.csv``."""
        return [
            change
            for change in self._store.latest()
            if change.reader == reader.name and change.study == self._shown.study
        ]


_EMPTY: Entry = {"answers": {}, "note": None}


def check_answers(heads: tuple[Head, ...], answers: Mapping[str, str]) -> None:
    """Refuse answers to unknown questions, unknown answers, and those to questions whose condition is not met.

    Raises:
        AnswerRefusedError: As said.
    """
    known = {head.name: head for head in heads}
    for name, answer in answers.items():
        head = known.get(name)
        if head is None or answer not in head.answers:
            raise AnswerRefusedError("expected a question of this review and one of its answers")
        if head.condition is None:
            continue
        other, wanted = head.condition
        given = answers.get(other, "")
        opening = known[other].answers[given] if other in known and given in known[other].answers else None
        if opening is None or opening.get(wanted, 0.0) <= _MOST_OF_IT:
            raise AnswerRefusedError(f"{name} is asked only where {other} is answered {wanted}")


def _entry(before: Entry, given: Given, now: str) -> Entry:
    """The new state; what did not change keeps its time."""
    earlier = cast("Mapping[str, Mapping[str, str]]", before["answers"])
    answers = {
        head: dict(earlier[head])
        if head in earlier and earlier[head]["answer"] == answer
        else {"answer": answer, "time": now}
        for head, answer in sorted(given.answers.items())
    }
    note = cast("Mapping[str, str] | None", before["note"])
    if given.note != (note["text"] if note else ""):
        note = {"text": given.note, "time": now} if given.note else None
    return {"answers": answers, "note": note}
