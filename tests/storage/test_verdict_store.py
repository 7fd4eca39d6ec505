"""Verdicts in SQLite: files of earlier versions are upgraded, and lose nothing."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from inkdot.errors import StorageError
from inkdot.storage.verdict_schema import Change, Study
from inkdot.storage.verdict_store import VerdictStore, is_verdict_store, read_verdict_store

VERSION_1 = """
CREATE TABLE changes (id INTEGER PRIMARY KEY, reader TEXT NOT NULL, shown TEXT NOT NULL, order_seed TEXT NOT NULL,
    model_sha256 TEXT NOT NULL, key TEXT NOT NULL, slide_id TEXT NOT NULL, place TEXT NOT NULL, rank INTEGER NOT NULL,
    score REAL, entry TEXT NOT NULL, is_undo INTEGER NOT NULL, time TEXT NOT NULL);
CREATE INDEX changes_of_reader ON changes (reader, model_sha256, shown, order_seed, key, id);
PRAGMA application_id = 1231973220;
PRAGMA user_version = 1;
"""
SQUARE = "POLYGON ((0 0, 8 0, 8 8, 0 8, 0 0))"
STUDY = Study("m" * 64, "scores", "")
TIME = "2026-01-02T03:04:05+00:00"
OLD_ENTRIES: list[dict[str, object]] = [
    {
        "answers": {"malignancy": {"answer": "malignant", "time": TIME}},
        "note": {"text": "ä; b", "time": TIME},
    },
    {"answers": {}, "note": None},
]
ENTRIES: list[dict[str, object]] = [
    {
        "verdicts": {"malignancy": {"verdict": "malignant", "time": TIME}},
        "note": {"text": "ä; b", "time": TIME},
    },
    {"verdicts": {}, "note": None},
]


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
        for rank, entry in enumerate(OLD_ENTRIES, start=1):
            connection.execute(
                "INSERT INTO changes (reader, shown, order_seed, model_sha256, key, slide_id, place, rank, score, entry,"
                " is_undo, time) VALUES ('dr-a', 'scores', '', ?, ?, 's1', ?, ?, 0.5, ?, 0, ?)",
                ("m" * 64, f"k{rank}", SQUARE, rank, json.dumps(entry), TIME),
            )
        connection.commit()
    return path


def changes() -> list[Change]:
    return [
        Change("dr-a", STUDY, f"k{rank}", "s1", SQUARE, rank, 0.5, entry, is_undo=False, time=TIME)
        for rank, entry in enumerate(ENTRIES, start=1)
    ]


def test_a_file_of_version_1_is_read_whole_and_not_changed(version_1: Path) -> None:
    before = version_1.read_bytes()
    assert is_verdict_store(version_1)
    assert read_verdict_store(version_1) == changes()
    assert version_1.read_bytes() == before


def test_a_file_of_version_1_is_upgraded_when_a_server_opens_it(version_1: Path) -> None:
    store = VerdictStore(version_1)
    assert store.latest() == changes()
    assert store.history("dr-a", STUDY) == [("k1", ENTRIES[0], False), ("k2", ENTRIES[1], False)]
    store.record(changes()[0])
    store.close()
    assert VerdictStore(version_1).latest() == read_verdict_store(version_1) == changes()
    with closing(sqlite3.connect(version_1)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


def test_a_damaged_entry_stops_the_upgrade_and_leaves_the_file_as_it_was(version_1: Path) -> None:
    with closing(sqlite3.connect(version_1)) as connection:
        connection.execute("UPDATE changes SET entry = '{' WHERE rank = 2")
        connection.commit()
    for reading in (VerdictStore, read_verdict_store):
        with pytest.raises(StorageError, match=r"reviews\.sqlite: expected "):
            reading(version_1)
    with closing(sqlite3.connect(version_1)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(place) FROM changes").fetchone() == (2,)


def test_a_later_version_is_refused_by_name(version_1: Path) -> None:
    with closing(sqlite3.connect(version_1)) as connection:
        connection.execute("PRAGMA user_version = 4")
    for reading in (VerdictStore, read_verdict_store):
        with pytest.raises(
            StorageError, match="expected verdicts of version 3, found 4; use the version of Inkdot"
        ):
            reading(version_1)


def test_another_programs_database_is_left_as_it_was(tmp_path: Path) -> None:
    """As a link in a results folder may lead to one."""
    other = tmp_path / "cookies.sqlite"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE moz_cookies (name TEXT)")
        connection.commit()
    before = other.read_bytes()
    (tmp_path / "reviews.sqlite").symlink_to(other)
    with pytest.raises(StorageError, match="found another program's database"):
        VerdictStore(tmp_path / "reviews.sqlite")
    assert other.read_bytes() == before  # not in WAL mode either
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cookies.sqlite", "reviews.sqlite"]
