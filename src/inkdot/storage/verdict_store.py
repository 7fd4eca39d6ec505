"""``reviews.sqlite``: verdicts given through the server, one row per change, never overwritten.

SQLite in WAL mode with ``synchronous=FULL``: a change is on disk before :meth:`VerdictStore.record` returns, so a
killed server loses nothing that it acknowledged. Rows are only added, so the full history of every region is kept.
"""

import json
import sqlite3
import threading
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from inkdot.bounded_json import parse_json
from inkdot.errors import StorageError

REVIEWS_VERSION = 2
"""``PRAGMA user_version`` of the file. Version 1 had a column ``place`` and entries with ``answers``; it is upgraded."""

_APPLICATION_ID = 0x496E6B64  # "Inkd": tells it from other programs' databases
SQLITE_START = b"SQLite format 3\x00"
_BUSY_SECONDS = 10.0

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
    time TEXT NOT NULL
);
CREATE INDEX changes_of_reader ON changes (reader, model_sha256, shown, order_seed, key, id);
"""
_UPGRADE_FROM_1 = """
ALTER TABLE changes RENAME COLUMN place TO geometry;
UPDATE changes SET entry = inkdot_upgrade_entry(entry);
PRAGMA user_version = 2;
"""
_COLUMNS = (
    "reader", "shown", "order_seed", "model_sha256", "key", "slide_id", "geometry", "rank", "score", "entry", "is_undo",
    "time",
)  # fmt: skip
_LATEST = f"""
SELECT {", ".join(_COLUMNS)} FROM changes
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
    """One change of one reader's verdicts about one region.

    Attributes:
        reader: Pseudonym of the reader.
        study: What was shown.
        key: Name of the region within the review.
        slide_id: Name of the slide as it was shown.
        geometry: WKT POLYGON in level-0 pixels.
        rank: Number on the card.
        score: Score on the card, 0 to 1; None in a blinded review.
        entry: Verdicts and note after the change.
        is_undo: The change took an earlier one back.
        time: When, in UTC as ISO 8601.
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


class VerdictStore:
    """The verdicts of one results folder; safe to use from several threads and processes.

    Args:
        path: The file; created if missing, upgraded in place if written by the last version.

    Raises:
        StorageError: The file is of another kind, of a newer version, or in a folder where SQLite cannot write its log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
            self._prepare()
            _changes(self._connection)  # so that a damaged file is named now, and not by every request
        except ValueError as error:
            self._connection.close()
            raise _damaged(path, error) from None
        except sqlite3.Error as error:
            raise StorageError(
                f"{path}: expected a file that SQLite can write, found: {error}; "
                "choose another with --verdicts, on a local disk"
            ) from None

    def record(self, change: Change) -> None:
        """Write one change; when this returns, it is on disk.

        Raises:
            sqlite3.Error: It could not be written and must not be acknowledged.
        """
        study = change.study
        values = (
            change.reader, study.shown, study.order_seed, study.model_sha256, change.key, change.slide_id, change.geometry,
            change.rank, change.score, json.dumps(change.entry, ensure_ascii=False), int(change.is_undo), change.time,
        )  # fmt: skip
        marks = ", ".join("?" * len(_COLUMNS))
        if not self._lock.acquire(timeout=_BUSY_SECONDS):  # held by a change that waits for another process
            raise sqlite3.OperationalError("database is locked")
        try:  # autocommit: outside a transaction each statement commits
            self._connection.execute(
                f"INSERT INTO changes ({', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608 (constants)
                values,
            )
        finally:
            self._lock.release()

    def history(self, reader: str, study: Study) -> list[tuple[str, Entry, bool]]:
        """Every change of one reader in one study, oldest first: (region key, entry after it, whether it was an undo)."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT key, entry, is_undo FROM changes "
                "WHERE reader = ? AND model_sha256 = ? AND shown = ? AND order_seed = ? ORDER BY id",
                (reader, study.model_sha256, study.shown, study.order_seed),
            ).fetchall()
        try:
            return [(key, _parsed_entry(entry), bool(is_undo)) for key, entry, is_undo in rows]
        except ValueError as error:
            raise _damaged(self._path, error) from None

    def entry(self, reader: str, study: Study, key: str) -> Entry | None:
        """The state of one region for one reader; None where nothing was reviewed yet."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT entry FROM changes WHERE reader = ? AND model_sha256 = ? AND shown = ? AND order_seed = ? "
                "AND key = ? ORDER BY id DESC LIMIT 1",
                (reader, study.model_sha256, study.shown, study.order_seed, key),
            ).fetchone()
        try:
            return None if row is None else _parsed_entry(row[0])
        except ValueError as error:
            raise _damaged(self._path, error) from None

    def latest(self) -> list[Change]:
        """The state of every region of every reader and study, sorted."""
        try:
            with self._reading() as connection:
                return _changes(connection)
        except ValueError as error:
            raise _damaged(self._path, error) from None

    def close(self) -> None:
        """Merge the write-ahead log into the file, so that it can be copied alone, and close it."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        """A connection that only reads: in WAL mode it waits for no writer, as one that is shared would."""
        with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            yield connection

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA trusted_schema = OFF")
        # Before anything is changed: the path may lead to another program's database.
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != _APPLICATION_ID:
            _check(connection, self._path)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"no write-ahead log there (journal mode {mode})")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables == 0:
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {REVIEWS_VERSION}")
                _run(connection, _SCHEMA)
            _refuse_code(connection, self._path)
            _upgrade(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        _check(connection, self._path)


def is_verdict_store(path: Path) -> bool:
    """Whether a file is a SQLite database, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE_START)) == SQLITE_START
    except OSError:
        return False


def read_verdict_store(path: Path) -> list[Change]:
    """The state of every region of every reader, sorted; a server may be writing meanwhile.

    Raises:
        StorageError: The file is damaged, or of another kind or version.
    """
    try:
        with (
            closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection,
            closing(sqlite3.connect(":memory:")) as copy,
        ):
            connection.execute("PRAGMA query_only = ON")
            connection.backup(
                copy
            )  # so that a file of an earlier version can be upgraded without being changed
            copy.execute("PRAGMA trusted_schema = OFF")
            _refuse_code(copy, path)
            _upgrade(copy)
            _check(copy, path)
            return _changes(copy)
    except (sqlite3.Error, ValueError) as error:
        raise _damaged(path, error) from None


def _run(connection: sqlite3.Connection, statements: str) -> None:
    """Run statements within the open transaction; ``executescript`` would commit it first."""
    for statement in statements.split(";"):
        connection.execute(statement)


def _upgrade(connection: sqlite3.Connection) -> None:
    """Upgrade a database of version 1 to version 2: only names change."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == _APPLICATION_ID and version == 1:
        connection.create_function("inkdot_upgrade_entry", 1, _upgraded_entry)
        _run(connection, _UPGRADE_FROM_1)


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


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID:
        raise StorageError(
            f"{path}: expected verdicts of `inkdot review serve`, found another program's database"
        )
    if version != REVIEWS_VERSION:
        raise StorageError(
            f"{path}: expected verdicts of version {REVIEWS_VERSION}, found {version}; use the version of Inkdot that wrote them"
        )


def _changes(connection: sqlite3.Connection) -> list[Change]:
    found: list[Change] = []
    for row in connection.execute(f"{_LATEST} ORDER BY slide_id, rank, geometry, reader, id"):
        reader, shown, seed, model, key, slide_id, geometry, rank, score, entry, is_undo, time = row
        if not all(isinstance(cell, str) for cell in (*row[:7], time)) or not isinstance(rank, int):
            raise ValueError(f"a change with cells of other kinds: {str(row)[:60]}")
        if not (score is None or isinstance(score, float | int)):
            raise ValueError(f"a score that is no number: {str(score)[:60]!r}")
        study, state = Study(model, shown, seed), _parsed_entry(entry)
        found.append(Change(reader, study, key, slide_id, geometry, rank, score, state, bool(is_undo), time))
    return found


def _parsed_entry(text: object) -> Entry:
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


def _damaged(path: Path, error: Exception) -> StorageError:
    message = " ".join(str(error).split())
    return StorageError(
        f"{path}: expected verdicts of `inkdot review serve`, found a damaged file: {message}; restore it from a copy"
    )
