"""Verdicts of a reader: checked, stored, and read back for a page or a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from inkdot.labels import FINDER_HEAD, Head
from inkdot.serve.readers import Reader
from inkdot.serve.served_results import ServedResults
from inkdot.storage.verdict_schema import Change, Entry
from inkdot.storage.verdict_store import VerdictStore

MAX_NOTE_CHARACTERS = 2000
MAX_UNDO_STEPS = 200
"""Undo steps that a page gets when it is opened."""

_LISTED = ("id", "problem", "warnings", "call", "score", "flagged_regions")
_OPENING_WEIGHT = (
    0.5  # a verdict that means a class by more than this makes the heads apply that depend on it
)


class VerdictRefusedError(ValueError):
    """The request holds no valid verdict of this review."""


@dataclass(frozen=True, slots=True)
class VerdictUpdate:
    """The whole state of one region, as a page sends it.

    Attributes:
        key: The region.
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
        region = self._results.regions.get(update.key)
        if region is None:
            raise VerdictRefusedError("expected a region of this review")
        check_verdicts(self._results.heads, update.verdicts)
        before = self._store.entry(reader.name, self._results.study, update.key) or _EMPTY
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        after = _entry(before, update, now)
        if after == before:
            return before
        self._store.record(
            Change(
                reader=reader.name,
                study=self._results.study,
                key=update.key,
                slide_id=region.slide_id,
                geometry=region.geometry,
                rank=region.rank,
                score=region.score,
                entry=after,
                is_undo=update.is_undo,
                time=now,
            )
        )
        return after

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
            key: entry for key, entry in entries.items() if key in self._results.regions and entry != _EMPTY
        }
        known = [step for step in steps if step["key"] in self._results.regions]
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
            listed.append(
                {name: slide[name] for name in _LISTED if name in slide}
                | {
                    "thumbnail": overview["src"] if overview else None,
                    "viewable": "view" in slide,
                    "regions": len(keys),
                    "reviewed": sum(key in reviewed for key in keys),
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


_EMPTY: Entry = {"verdicts": {}, "note": None}


def check_verdicts(heads: tuple[Head, ...], verdicts: Mapping[str, str]) -> None:
    """Check that heads and verdicts are known, that "not a cell" stands alone, and that the conditions of the heads are met.

    Raises:
        VerdictRefusedError: One is not.
    """
    if FINDER_HEAD.name in verdicts and len(verdicts) > 1:
        raise VerdictRefusedError("expected 'not a cell' or verdicts on the heads, found both")
    known = {head.name: head for head in (*heads, FINDER_HEAD)}
    for name, verdict in verdicts.items():
        head = known.get(name)
        if head is None or verdict not in head.labels:
            raise VerdictRefusedError("expected a head of this review and one of its verdicts")
        if head.condition is None:
            continue
        other, required = head.condition
        weights = known[other].labels.get(verdicts.get(other, "")) if other in known else None
        if weights is None or weights.get(required, 0.0) <= _OPENING_WEIGHT:
            raise VerdictRefusedError(f"{name} is asked only where the verdict on {other} is {required}")


def _entry(before: Entry, update: VerdictUpdate, now: str) -> Entry:
    """The new state; an unchanged verdict keeps its time."""
    earlier = cast("Mapping[str, Mapping[str, str]]", before["verdicts"])
    verdicts = {
        head: dict(earlier[head])
        if head in earlier and earlier[head]["verdict"] == verdict
        else {"verdict": verdict, "time": now}
        for head, verdict in sorted(update.verdicts.items())
    }
    note = cast("Mapping[str, str] | None", before["note"])
    if update.note != (note["text"] if note else ""):
        note = {"text": update.note, "time": now} if update.note else None
    return {"verdicts": verdicts, "note": note}
