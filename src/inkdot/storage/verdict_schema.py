"""The form of ``reviews.sqlite``: its table, its versions, and its rows, which are checked when they are read."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from inkdot.bounded_json import parse_json
from inkdot.errors import StorageError

REVIEWS_VERSION = 3
"""``PRAGMA user_version`` of the file. Version 1 had a column ``place`` and entries with ``answers``, versions 1 and 2 had no
column ``kind``; both are upgraded."""

AnswerKind = Literal["region", "slide", "missed"]
"""What an answer is about: a region that was shown, the slide as a whole, or a region that a reader marked as missed."""

KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)

_APPLICATION_ID = 0x496E6B64  # "Inkd": tells it from other programs' databases

Entry = Mapping[str, object]
"""State of one region: ``{"verdicts": {head: {"verdict", "time"}}, "note": {"text", "time"} | None}``."""

_SCHEMA = """
CREATE TABLE changes (
    id INTEGER PRIMARY KEY,
    reader TEXT NOT NULL,
    shown TEXT NOT NULL,
    order_seed TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    key TEXT NOT NULL,
    slide_id TEXT NOT NULL,
    geometry TEXT NOT NULL,
    rank INTEGER NOT NULL,
    score REAL,
    entry TEXT NOT NULL,
    is_undo INTEGER NOT NULL,
    time TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT 'region'
);
CREATE INDEX changes_of_reader ON changes (reader, model_sha256, shown, order_seed, key, id);
"""
_UPGRADE_FROM_1 = """
ALTER TABLE changes RENAME COLUMN place TO geometry;
UPDATE changes SET entry = inkdot_upgrade_entry(entry);
PRAGMA user_version = 2;
"""
_UPGRADE_FROM_2 = """
ALTER TABLE changes ADD COLUMN kind TEXT NOT NULL DEFAULT 'region';
PRAGMA user_version = 3;
"""
COLUMNS = (
    "reader", "shown", "order_seed", "model_sha256", "key", "slide_id", "geometry", "rank", "score", "entry", "is_undo",
    "time", "kind",
)  # fmt: skip
_LATEST = f"""
SELECT {", ".join(COLUMNS)} FROM changes
WHERE id IN (SELECT max(id) FROM changes GROUP BY reader, model_sha256, shown, order_seed, key)
"""  # noqa: S608 (the columns are the constants above)


@dataclass(frozen=True, slots=True)
class Study:
    """What a reader was shown: verdicts on another model's regions, or blinded ones, are stored separately.

    Attributes:
        model_sha256: Model whose regions were shown.
        shown: ``scores`` or ``blinded``.
        order_seed: Seed of a blinded order; empty where scores were shown.
    """

    model_sha256: str
    shown: str
    order_seed: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one reader's answers about one region or slide.

    Attributes:
        reader: Pseudonym of the reader.
        study: What was shown.
        key: Name of the region or slide within the review.
        slide_id: Name of the slide as it was shown.
        geometry: WKT POLYGON in level-0 pixels; empty for a slide.
        rank: Number on the card; 0 without a card.
        score: Score on the card, 0 to 1; None in a blinded review and without a card.
        entry: Verdicts and note after the change.
        is_undo: The change took an earlier one back.
        time: When, in UTC as ISO 8601.
        kind: What the answer is about.
    """

    reader: str
    study: Study
    key: str
    slide_id: str
    geometry: str
    rank: int
    score: float | None
    entry: Entry
    is_undo: bool
    time: str
    kind: AnswerKind = "region"


def refuse_other_database(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse another program's database, before anything in it is changed; an empty one is nobody's.

    Raises:
        StorageError: It is one.
    """
    if not _is_empty(connection) and _number(connection, "application_id") != _APPLICATION_ID:
        raise _other_database(path)


def make_table(connection: sqlite3.Connection) -> None:
    """Make the table where the database is empty; within the open transaction."""
    if _is_empty(connection):
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {REVIEWS_VERSION}")
        _run(connection, _SCHEMA)


def upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Upgrade a database of version 1 or 2: names change, and all answers that it holds are about regions.

    Args:
        connection: The database, in a transaction where it is not a copy.
        path: Its file, for messages.

    Raises:
        StorageError: It is another program's, of a newer version, or has triggers or views.
    """
    _refuse_code(connection, path)
    if _number(connection, "application_id") != _APPLICATION_ID:
        raise _other_database(path)
    if _number(connection, "user_version") == 1:
        connection.create_function("inkdot_upgrade_entry", 1, _upgraded_entry)
        _run(connection, _UPGRADE_FROM_1)
    if _number(connection, "user_version") == 2:
        _run(connection, _UPGRADE_FROM_2)
    version = _number(connection, "user_version")
    if version != REVIEWS_VERSION:
        raise StorageError(
            f"{path}: expected verdicts of version {REVIEWS_VERSION}, found {version}; use the version of Inkdot that wrote them"
        )


def _is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return tables == 0


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    (number,) = connection.execute(f"PRAGMA {pragma}").fetchone()
    return int(number)


def _run(connection: sqlite3.Connection, statements: str) -> None:
    """Run statements within the open transaction; ``executescript`` would commit it first."""
    for statement in statements.split(";"):
        connection.execute(statement)


def _upgraded_entry(text: str) -> str:
    entry = cast("dict[str, object]", parse_json(text))
    answers = cast("dict[str, dict[str, object]]", entry.pop("answers", {}))
    entry["verdicts"] = {
        head: {"verdict" if name == "answer" else name: value for name, value in given.items()}
        for head, given in answers.items()
    }
    return json.dumps(entry, ensure_ascii=False)


def _refuse_code(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse triggers and views: they would run in place of, or beside, what is asked of the table."""
    found = connection.execute(
        "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') LIMIT 1"
    ).fetchone()
    if found is not None:
        raise StorageError(
            f"{path}: expected a table of verdicts alone, found the {found[0]} {str(found[1])[:60]!r}, which Inkdot never makes; "
            "use a copy of the file from before"
        )


def _other_database(path: Path) -> StorageError:
    return StorageError(
        f"{path}: expected verdicts of `inkdot review serve`, found another program's database"
    )


def latest_changes(connection: sqlite3.Connection) -> list[Change]:
    """The last change of every region and slide of every reader and study, sorted.

    Raises:
        ValueError: A row has cells of other kinds.
    """
    return _changes(connection, f"{_LATEST} ORDER BY slide_id, rank, geometry, reader, id")


def every_change(connection: sqlite3.Connection) -> list[Change]:
    """All changes in the order in which they were made.

    Raises:
        ValueError: A row has cells of other kinds.
    """
    return _changes(connection, f"SELECT {', '.join(COLUMNS)} FROM changes ORDER BY id")  # noqa: S608 (constants)


def _changes(connection: sqlite3.Connection, query: str) -> list[Change]:
    found: list[Change] = []
    for row in connection.execute(query):
        reader, shown, seed, model, key, slide_id, geometry, rank, score, entry, is_undo, time, kind = row
        if kind not in KINDS:
            raise ValueError(f"an answer of another kind: {str(kind)[:60]!r}")
        if not all(isinstance(cell, str) for cell in (*row[:7], time)) or not isinstance(rank, int):
            raise ValueError(f"a change with cells of other kinds: {str(row)[:60]}")
        if not (score is None or isinstance(score, float | int)):
            raise ValueError(f"a score that is no number: {str(score)[:60]!r}")
        study, state = Study(model, shown, seed), parsed_entry(entry)
        found.append(
            Change(reader, study, key, slide_id, geometry, rank, score, state, bool(is_undo), time, kind)
        )
    return found


def parsed_entry(text: object) -> Entry:
    """The state of one region, checked.

    Raises:
        ValueError: It has another form.
    """
    found = parse_json(text) if isinstance(text, str) else None
    entry = cast("Mapping[object, object]", found) if isinstance(found, dict) else dict[object, object]()
    verdicts, note = entry.get("verdicts"), entry.get("note")
    given = list(cast("Mapping[object, object]", verdicts).values()) if isinstance(verdicts, dict) else [None]
    if not all(_has_texts(one, "verdict", "time") for one in given):
        raise ValueError(f"an entry without verdicts by head: {str(text)[:60]!r}")
    if not (note is None or _has_texts(note, "text", "time")):
        raise ValueError(f"a note without text and time: {str(text)[:60]!r}")
    return cast(Entry, {**entry, "note": note})


def _has_texts(value: object, *names: str) -> bool:
    known = cast("Mapping[object, object]", value) if isinstance(value, dict) else dict[object, object]()
    return all(isinstance(known.get(name), str) for name in names)


def damaged(path: Path, error: Exception) -> StorageError:
    """The error for a file whose rows cannot be read."""
    message = " ".join(str(error).split())
    return StorageError(
        f"{path}: expected verdicts of `inkdot review serve`, found a damaged file: {message}; restore it from a copy"
    )
