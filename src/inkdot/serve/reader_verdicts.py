"""Verdicts of a reader: checked, kept, and read back for a page or a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from inkdot.labels import Head
from inkdot.serve.readers import Reader
from inkdot.serve.shown_results import Shown
from inkdot.storage.verdict_store import Change, Entry, VerdictStore

LONGEST_NOTE = 2000
MOST_STEPS = 200
"""Steps back that a page is given when it is opened."""

_LISTED = ("id", "problem", "warnings", "call", "score", "flagged_regions")
_MOST_OF_IT = 0.5  # an verdict that means a class by more than this opens the questions that depend on it


class VerdictRefusedError(ValueError):
    """What was sent is no verdict to a question of this review."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a reader sent: the whole state of one region.

    Attributes:
        key: The region.
        verdicts: Verdict by question.
        note: Free text; empty for none.
        is_undo: The reader took an earlier verdict back.
    """

    key: str
    verdicts: Mapping[str, str]
    note: str
    is_undo: bool


def given_from_json(value: object) -> Given:
    """Read what a page sent.

    Raises:
        VerdictRefusedError: It is of another form.
    """
    if not isinstance(value, dict):
        raise VerdictRefusedError("expected an object")
    sent = cast("dict[str, object]", value)
    key, verdicts, note, undo = (sent.get(name) for name in ("key", "verdicts", "note", "undo"))
    if not isinstance(key, str) or not isinstance(verdicts, dict) or not isinstance(note, str):
        raise VerdictRefusedError("expected key, verdicts and note")
    pairs = cast("dict[object, object]", verdicts)
    if not all(isinstance(part, str) for pair in pairs.items() for part in pair):
        raise VerdictRefusedError("expected verdicts by question")
    if len(note) > LONGEST_NOTE:
        raise VerdictRefusedError(f"expected a note of at most {LONGEST_NOTE} characters, found {len(note)}")
    return Given(key, cast("dict[str, str]", pairs), note.strip(), undo is True)


class ReaderVerdicts:
    """The verdicts of all readers of one review; each is given their own alone.

    Args:
        store: Where they are kept.
        shown: What may be reviewed.
    """

    def __init__(self, store: VerdictStore, shown: Shown) -> None:
        self._store = store
        self._shown = shown

    def keep(self, reader: Reader, given: Given) -> Entry:
        """Check and keep the state of one region; when this returns, it is on disk.

        The same state sent again changes nothing, so a page may send until it is reviewed.

        Raises:
            VerdictRefusedError: The region, a question or an verdict is none of this review.
        """
        region = self._shown.regions.get(given.key)
        if region is None:
            raise VerdictRefusedError("expected a region of this review")
        check_verdicts(self._shown.heads, given.verdicts)
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
                slide_id=region.slide_id,
                geometry=region.geometry,
                rank=region.rank,
                score=region.score,
                entry=after,
                is_undo=given.is_undo,
                time=now,
            )
        )
        return after

    def state(self, reader: Reader) -> dict[str, object]:
        """What a page needs of a reader's verdicts: the state of every region, and the last steps for undo."""
        entries: dict[str, Entry] = {}
        steps: list[dict[str, object]] = []
        for key, entry, is_undo in self._store.history(reader.name, self._shown.study):
            if is_undo and steps:
                steps.pop()
            elif not is_undo:
                steps.append({"key": key, "before": entries.get(key, _EMPTY)})
            entries[key] = entry
        kept = {
            key: entry for key, entry in entries.items() if key in self._shown.regions and entry != _EMPTY
        }
        known = [step for step in steps if step["key"] in self._shown.regions]
        return {"entries": kept, "steps": known[-MOST_STEPS:]}

    def overview(self, reader: Reader) -> dict[str, object]:
        """What the list of slides needs, with how far a reader has come in each; thousands of slides make one page."""
        entries = cast("Mapping[str, Entry]", self.state(reader)["entries"])
        reviewed = {key for key, entry in entries.items() if entry["verdicts"]}
        slides = cast("list[Mapping[str, object]]", self._shown.facts["slides"])
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
        return {**self._shown.facts, "slides": listed}

    def changes(self, reader: Reader) -> list[Change]:
        """The state of every region that a reader reviewed in this study, for ``verdicts.csv``."""
        return [
            change
            for change in self._store.latest()
            if change.reader == reader.name and change.study == self._shown.study
        ]


_EMPTY: Entry = {"verdicts": {}, "note": None}


def check_verdicts(heads: tuple[Head, ...], verdicts: Mapping[str, str]) -> None:
    """Refuse verdicts to unknown questions, unknown verdicts, and those to questions whose condition is not met.

    Raises:
        VerdictRefusedError: As said.
    """
    known = {head.name: head for head in heads}
    for name, verdict in verdicts.items():
        head = known.get(name)
        if head is None or verdict not in head.labels:
            raise VerdictRefusedError("expected a question of this review and one of its verdicts")
        if head.condition is None:
            continue
        other, wanted = head.condition
        given = verdicts.get(other, "")
        opening = known[other].labels[given] if other in known and given in known[other].labels else None
        if opening is None or opening.get(wanted, 0.0) <= _MOST_OF_IT:
            raise VerdictRefusedError(f"{name} is asked only where {other} is reviewed {wanted}")


def _entry(before: Entry, given: Given, now: str) -> Entry:
    """The new state; what did not change keeps its time."""
    earlier = cast("Mapping[str, Mapping[str, str]]", before["verdicts"])
    verdicts = {
        head: dict(earlier[head])
        if head in earlier and earlier[head]["verdict"] == verdict
        else {"verdict": verdict, "time": now}
        for head, verdict in sorted(given.verdicts.items())
    }
    note = cast("Mapping[str, str] | None", before["note"])
    if given.note != (note["text"] if note else ""):
        note = {"text": given.note, "time": now} if given.note else None
    return {"verdicts": verdicts, "note": note}
