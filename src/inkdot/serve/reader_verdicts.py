"""Verdicts of a reader: checked, stored, and read back for a page or a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from inkdot.serve.answered import (
    VerdictRefusedError,
    answered_by,
    category_meanings,
    check_missed,
    check_verdicts,
    is_answered,
    slide_key,
)
from inkdot.serve.readers import Reader
from inkdot.serve.served_results import ServedResults
from inkdot.storage.verdict_schema import AnswerKind, Change, Entry
from inkdot.storage.verdict_store import VerdictStore

MAX_NOTE_CHARACTERS = 2000
MAX_UNDO_STEPS = 200
"""Undo steps that a page gets when it is opened."""

_LISTED = ("id", "problem", "warnings", "call", "score", "flagged_regions", "patient", "stain")


@dataclass(frozen=True, slots=True)
class VerdictUpdate:
    """The whole state of one region or slide, as a page sends it.

    Attributes:
        key: What it is about, see :func:`inkdot.serve.answered.answered_by`.
        verdicts: Verdict by head.
        note: Free text; empty for none.
        is_undo: The reader took an earlier verdict back.
    """

    key: str
    verdicts: Mapping[str, str]
    note: str
    is_undo: bool


def parse_update(value: object) -> VerdictUpdate:
    """Parse the JSON that a page sent.

    Raises:
        VerdictRefusedError: It has another form.
    """
    if not isinstance(value, dict):
        raise VerdictRefusedError("expected an object")
    sent = cast("dict[str, object]", value)
    key, verdicts, note, undo = (sent.get(name) for name in ("key", "verdicts", "note", "undo"))
    if not isinstance(key, str) or not isinstance(verdicts, dict) or not isinstance(note, str):
        raise VerdictRefusedError("expected key, verdicts and note")
    pairs = cast("dict[object, object]", verdicts)
    if not all(isinstance(part, str) for pair in pairs.items() for part in pair):
        raise VerdictRefusedError("expected verdicts by head")
    if len(note) > MAX_NOTE_CHARACTERS:
        raise VerdictRefusedError(
            f"expected a note of at most {MAX_NOTE_CHARACTERS} characters, found {len(note)}"
        )
    return VerdictUpdate(key, cast("dict[str, str]", pairs), note.strip(), undo is True)


class ReaderVerdicts:
    """The verdicts of all readers of one review; each reader gets only their own.

    Args:
        store: Where they are stored.
        results: The results under review.
    """

    def __init__(self, store: VerdictStore, results: ServedResults) -> None:
        self._store = store
        self._results = results

    def record(self, reader: Reader, update: VerdictUpdate) -> Entry:
        """Check and store the state of one region; when this returns, it is on disk.

        The same state sent again changes nothing, so a page may send it until it is acknowledged.

        Raises:
            VerdictRefusedError: The region, a head or a verdict does not belong to this review.
        """
        about = answered_by(update.key, self._results)
        before = self._store.entry(reader.name, self._results.study, update.key) or _EMPTY
        means = self._checked(about.kind, before, update.verdicts)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        after = _entry(before, update, means, now)
        if after == before:
            return before
        self._store.record(
            Change(
                reader=reader.name,
                study=self._results.study,
                key=update.key,
                slide_id=about.slide_id,
                geometry=about.geometry,
                rank=about.rank,
                score=about.score,
                entry=after,
                is_undo=update.is_undo,
                time=now,
                kind=about.kind,
            )
        )
        return after

    def _checked(self, kind: AnswerKind, before: Entry, verdicts: Mapping[str, str]) -> dict[str, str]:
        """What categories mean, after the answers were checked."""
        if kind == "slide":
            earlier = cast("Mapping[str, Mapping[str, str]]", before["verdicts"])
            return category_meanings(self._results.categories, earlier, verdicts)
        check = check_missed if kind == "missed" else check_verdicts
        check(self._results.heads, verdicts)
        return {}

    def state(self, reader: Reader) -> dict[str, object]:
        """A reader's verdicts for a page: the state of every region, and the last steps for undo."""
        entries: dict[str, Entry] = {}
        steps: list[dict[str, object]] = []
        for key, entry, is_undo in self._store.history(reader.name, self._results.study):
            if is_undo and steps:
                steps.pop()
            elif not is_undo:
                steps.append({"key": key, "before": entries.get(key, _EMPTY)})
            entries[key] = entry
        kept = {
            key: entry
            for key, entry in entries.items()
            if entry != _EMPTY and is_answered(key, self._results)
        }
        known = [step for step in steps if is_answered(str(step["key"]), self._results)]
        return {"entries": kept, "steps": known[-MAX_UNDO_STEPS:]}

    def overview(self, reader: Reader) -> dict[str, object]:
        """The list of slides with a reader's progress in each, without regions: thousands of slides make one page."""
        entries = cast("Mapping[str, Entry]", self.state(reader)["entries"])
        reviewed = {key for key, entry in entries.items() if entry["verdicts"]}
        slides = cast("list[Mapping[str, object]]", self._results.facts["slides"])
        listed: list[dict[str, object]] = []
        for slide in slides:
            keys = cast("list[str]", slide["region_keys"])
            overview = cast("Mapping[str, object] | None", slide["overview"])
            answer = entries.get(slide_key(str(slide["id"])), _EMPTY)["verdicts"]
            listed.append(
                {name: slide[name] for name in _LISTED if name in slide}
                | {
                    "thumbnail": overview["src"] if overview else None,
                    "viewable": "view" in slide,
                    "regions": len(keys),
                    "reviewed": sum(key in reviewed for key in keys),
                    "answer": {head: given["verdict"] for head, given in cast("_Given", answer).items()},
                }
            )
        return {**self._results.facts, "slides": listed}

    def changes(self, reader: Reader) -> list[Change]:
        """The state of every region that a reader reviewed in this study, for ``verdicts.csv``."""
        return [
            change
            for change in self._store.latest()
            if change.reader == reader.name and change.study == self._results.study
        ]


_Given = Mapping[str, Mapping[str, str]]
_EMPTY: Entry = {"verdicts": {}, "note": None}


def _entry(before: Entry, update: VerdictUpdate, means: Mapping[str, str], now: str) -> Entry:
    """The new state; an unchanged verdict keeps its time."""
    earlier = cast("Mapping[str, Mapping[str, str]]", before["verdicts"])
    verdicts = {
        head: dict(earlier[head])
        if head in earlier and earlier[head]["verdict"] == verdict
        else {"verdict": verdict, "time": now} | ({"means": means[head]} if head in means else {})
        for head, verdict in sorted(update.verdicts.items())
    }
    note = cast("Mapping[str, str] | None", before["note"])
    if update.note != (note["text"] if note else ""):
        note = {"text": update.note, "time": now} if update.note else None
    return {"verdicts": verdicts, "note": note}
