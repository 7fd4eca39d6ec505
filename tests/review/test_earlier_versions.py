"""Files of the last version, with its columns ``place`` and ``answer``, are still read."""

import csv
import json
import sqlite3
from pathlib import Path

import pytest

from inkdot.errors import ManifestError, StorageError
from inkdot.labels import DEFAULT_HEADS
from inkdot.review.active_learning.query_list import read_query_list
from inkdot.review.verdicts.stored_verdicts import read_stored_verdicts
from inkdot.stages.review import import_verdicts as review_import
from inkdot.storage.tables.labels_table import read_labels
from inkdot.storage.verdict_schema import REVIEWS_VERSION, Change, Study
from inkdot.storage.verdict_store import VerdictStore, read_verdict_store

# As the last version wrote it.
SCHEMA_1 = """
PRAGMA application_id = 1231973220;
PRAGMA user_version = 1;
CREATE TABLE changes (
    id INTEGER PRIMARY KEY,
    reader TEXT NOT NULL,
    shown TEXT NOT NULL,
    order_seed TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    key TEXT NOT NULL,
    slide_id TEXT NOT NULL,
    place TEXT NOT NULL,
    rank INTEGER NOT NULL,
    score REAL,
    entry TEXT NOT NULL,
    is_undo INTEGER NOT NULL,
    time TEXT NOT NULL
);
CREATE INDEX changes_of_reader ON changes (reader, model_sha256, shown, order_seed, key, id);
"""
SQUARE = "POLYGON ((0 0, 256 0, 256 256, 0 256, 0 0))"
TIME = "2026-01-01T10:00:00.000Z"
MODEL = "ab" * 32
STUDY = Study(MODEL, "scores", "")
ANSWERS = {
    "malignancy": {"answer": "malignant", "time": TIME},
    "morphology": {"answer": "small_cell", "time": TIME},
}
VERDICTS = {
    "malignancy": {"verdict": "malignant", "time": TIME},
    "morphology": {"verdict": "small_cell", "time": TIME},
}
NOTE = {"text": "Größe? 'answers'", "time": TIME}
EARLIER_COLUMNS = (
    "slide_id", "place", "head", "answer", "reader", "time", "shown", "rank", "score", "note", "model_sha256",
    "order_seed", "schema",
)  # fmt: skip


def earlier_database(path: Path, *entries: str) -> Path:
    """A ``reviews.sqlite`` of version 1 with one change per entry, each about a region of its own."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(SCHEMA_1)
    for number, entry in enumerate(entries):
        values = ("dr-a", "scores", "", MODEL, f"k{number}", "S1", SQUARE, number + 1, 0.9, entry, 0, TIME)
        connection.execute("INSERT INTO changes VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    connection.commit()
    connection.close()
    return path


def earlier_entries() -> list[str]:
    return [
        json.dumps({"answers": ANSWERS, "note": None}),
        json.dumps({"answers": {}, "note": NOTE}, ensure_ascii=False),
        json.dumps({"answers": {}, "note": None}),
    ]


def version_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return version


def test_a_database_is_upgraded_in_place_when_it_is_opened(tmp_path: Path) -> None:
    path = earlier_database(tmp_path / "reviews.sqlite", *earlier_entries())
    store = VerdictStore(path)
    assert [entry for _, entry, _ in store.history("dr-a", STUDY)] == [
        {"verdicts": VERDICTS, "note": None},
        {"verdicts": {}, "note": NOTE},
        {"verdicts": {}, "note": None},
    ]
    first = store.latest()[0]
    assert (first.key, first.geometry, first.rank, first.score) == ("k0", SQUARE, 1, 0.9)
    later = {"malignancy": {"verdict": "benign", "time": TIME}}
    store.record(
        Change("dr-b", STUDY, "k0", "S1", SQUARE, 1, 0.9, {"verdicts": later, "note": None}, False, TIME)
    )
    store.close()
    assert version_of(path) == REVIEWS_VERSION
    again = VerdictStore(path)
    assert len(again.latest()) == 4
    again.close()


def test_reading_a_database_does_not_change_it(tmp_path: Path) -> None:
    path = earlier_database(tmp_path / "reviews.sqlite", *earlier_entries())
    before = path.read_bytes()
    assert read_verdict_store(path)[0].entry == {"verdicts": VERDICTS, "note": None}
    found = read_stored_verdicts(path, DEFAULT_HEADS)
    assert [(verdict.head, verdict.verdict) for verdict in found] == [
        ("malignancy", "malignant"),
        ("morphology", "small_cell"),
        ("", ""),
    ]
    assert path.read_bytes() == before


def test_a_failed_upgrade_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = earlier_database(tmp_path / "reviews.sqlite", *earlier_entries(), "{no JSON")
    with pytest.raises(StorageError, match=r"reviews\.sqlite"):
        VerdictStore(path)
    assert version_of(path) == 1
    connection = sqlite3.connect(path)
    assert [
        json.loads(row[0])["note"] for row in connection.execute("SELECT entry FROM changes LIMIT 2")
    ] == [None, NOTE]
    assert "place" in [row[1] for row in connection.execute("PRAGMA table_info(changes)")]
    connection.close()


def earlier_table(path: Path, **values: str) -> Path:
    cells = dict.fromkeys(EARLIER_COLUMNS, "") | {
        "slide_id": "S1",
        "place": SQUARE,
        "head": "malignancy",
        "answer": "malignant",
        "reader": "dr-a",
        "time": TIME,
        "shown": "scores",
        "rank": "1",
        "score": "0.9",
        "note": "",
        "model_sha256": MODEL,
        "schema": "inkdot.verdicts/1",
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, EARLIER_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerow(cells | values)
    return path


def test_a_verdicts_table_becomes_labels(tmp_path: Path) -> None:
    assert review_import.run([earlier_table(tmp_path / "verdicts.csv")], tmp_path / "labels.csv") == 0
    (label,) = read_labels(tmp_path / "labels.csv", DEFAULT_HEADS)
    assert (label.slide_id, label.head, label.label, label.reader) == (
        "S1",
        "malignancy",
        "malignant",
        "dr-a",
    )
    assert label.geometry.bounds == (0, 0, 256, 256)


def test_messages_about_a_verdicts_table_name_the_column_of_today(tmp_path: Path) -> None:
    path = earlier_table(tmp_path / "verdicts.csv", answer="small_cell")
    with pytest.raises(ManifestError, match=r"line 2: column verdict: expected .*, found 'small_cell'"):
        read_stored_verdicts(path, DEFAULT_HEADS)


def test_a_query_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "next.csv"
    header = "order,slide_id,place,score,uncertainty_bits,distance,model_sha256,schema"
    path.write_text(f'{header}\n1,S1,"{SQUARE}",0.5,1.0,,{MODEL},inkdot.questions/1\n', encoding="utf-8")
    assert read_query_list(path) == [("S1", SQUARE)]
