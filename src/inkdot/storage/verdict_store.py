"""``reviews.sqlite``: verdicts given through the server, one row per change, never overwritten.

SQLite in WAL mode with ``synchronous=FULL``: a change is on disk before :meth:`VerdictStore.record` returns, so a
killed server loses nothing that it acknowledged. Rows are only added, so the full history of every region is kept.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

from inkdot.errors import StorageError
from inkdot.storage.verdict_schema import (
    COLUMNS,
    Change,
    Entry,
    Study,
    damaged,
    every_change,
    latest_changes,
    make_table,
    parsed_entry,
    refuse_other_database,
    upgrade,
)

_SQLITE_START = b"SQLite format 3\x00"
_BUSY_SECONDS = 10.0


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
            latest_changes(self._connection)  # so that a damaged file is named now, and not by every request
        except ValueError as error:
            self._connection.close()
            raise damaged(path, error) from None
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
            change.kind,
        )  # fmt: skip
        marks = ", ".join("?" * len(COLUMNS))
        if not self._lock.acquire(timeout=_BUSY_SECONDS):  # held by a change that waits for another process
            raise sqlite3.OperationalError("database is locked")
        try:  # autocommit: outside a transaction each statement commits
            self._connection.execute(
                f"INSERT INTO changes ({', '.join(COLUMNS)}) VALUES ({marks})",  # noqa: S608 (constants)
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
            return [(key, parsed_entry(entry), bool(is_undo)) for key, entry, is_undo in rows]

    def entry(self, reader: str, study: Study, key: str) -> Entry | None:
        """The state of one region for one reader; None where nothing was reviewed yet."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT entry FROM changes WHERE reader = ? AND model_sha256 = ? AND shown = ? AND order_seed = ? "
                "AND key = ? ORDER BY id DESC LIMIT 1",
                (reader, study.model_sha256, study.shown, study.order_seed, key),
            ).fetchone()
            return None if row is None else parsed_entry(row[0])

    def latest(self) -> list[Change]:
        """The state of every region of every reader and study, sorted."""
        with self._reading() as connection:
            return latest_changes(connection)

    def close(self) -> None:
        """Merge the write-ahead log into the file, so that it can be copied alone, and close it."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        """A connection that only reads: in WAL mode it waits for no writer, as one that is shared would.

        Raises:
            StorageError: The block found a damaged row.
        """
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("PRAGMA trusted_schema = OFF")
                yield connection
        except ValueError as error:
            raise damaged(self._path, error) from None

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA trusted_schema = OFF")
        refuse_other_database(connection, self._path)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"no write-ahead log there (journal mode {mode})")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            make_table(connection)
            upgrade(connection, self._path)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def is_verdict_store(path: Path) -> bool:
    """Whether a file is a SQLite database, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE_START)) == _SQLITE_START
    except OSError:
        return False


def read_verdict_store(path: Path) -> list[Change]:
    """The state of every region of every reader, sorted; a server may be writing meanwhile.

    Raises:
        StorageError: The file is damaged, or of another kind or version.
    """
    return _read(path, latest_changes)


def read_verdict_history(path: Path) -> list[Change]:
    """All changes of all readers in the order in which they were made; a server may be writing meanwhile.

    Raises:
        StorageError: The file is damaged, or of another kind or version.
    """
    return _read(path, every_change)


def _read(path: Path, changes: Callable[[sqlite3.Connection], list[Change]]) -> list[Change]:
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
            upgrade(copy, path)
            return changes(copy)
    except (sqlite3.Error, ValueError) as error:
        raise damaged(path, error) from None
