"""Damaged tables and JSON between stages end in one line of what was found, whatever the damage."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inkdot.errors import StorageError, UserError
from inkdot.labels import DEFAULT_HEADS
from inkdot.review.active_learning.query_list import read_query_list
from inkdot.review.gallery.pseudonyms import read_pseudonyms
from inkdot.review.verdicts.verdict_table import COLUMNS as VERDICT_COLUMNS
from inkdot.review.verdicts.verdict_table import read_verdicts
from inkdot.storage.models.model_files import read_model_file
from inkdot.storage.tables.parquet_tables import read_footer
from inkdot.storage.tables.predictions import Prediction, read_predictions, write_predictions
from inkdot.storage.verdict_schema import Change, Study
from inkdot.storage.verdict_store import VerdictStore, read_verdict_store

DEEP = "[" * 100_000
HUGE = "9" * 5000


def predictions(folder: Path) -> Path:
    path = folder / "predictions.csv"
    write_predictions(
        path, [Prediction("a", "done", "flagged", "0.9000"), Prediction("b", "failed", "", reason="gone")]
    )
    return path


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (b"gone", b"g\xffne", "line 3: expected UTF-8 text, found the byte 0xff"),
        (b"outcome", b"outcame", "found no column outcome"),
        (b"0.9000", b"9" * 5000, "line 2: column score: expected 0 to 1 or blank"),
        (b"0.9000", b"nan", "line 2: column score: expected 0 to 1 or blank"),
        (b"b,failed", b"b,odd", "line 3: column outcome: expected done or failed, found 'odd'"),
        (b"b,failed", b"failed", "line 3: expected 17 fields, found fewer"),
        (b"gone", b'"gone', "line 3: not a CSV table"),
        (b"gone", b"\x00", "found binary data"),
    ],
)
def test_a_damaged_table_of_predictions_is_one_line(
    tmp_path: Path, old: bytes, new: bytes, found: str
) -> None:
    path = predictions(tmp_path)
    assert [row["slide_id"] for row in read_predictions(path)] == ["a", "b"]
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(StorageError, match=found) as error:
        read_predictions(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))


def test_a_long_cell_of_predictions_is_read(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, [Prediction("a", "done", "flagged", "0.9000", warnings="w" * 200_000)])
    assert len(read_predictions(path)[0]["warnings"]) == 200_000


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b'slide_id,pseudonym\na,"b', b"slide_id,pseudonym\na\n", b"a,b\n", b"\xc3"]
)
def test_other_tables_of_a_review_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    for read in (read_pseudonyms, read_query_list, lambda table: read_verdicts(table, DEFAULT_HEADS)):
        with pytest.raises(UserError) as error:
            read(path)
        assert "\n" not in str(error.value)


def test_a_pseudonym_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pseudonyms.csv"
    path.write_text("slide_id,pseudonym\na,../../a\n")
    with pytest.raises(
        StorageError, match=r"expected pseudonyms such as slide-0f3a9c12, found '\.\./\.\./a'"
    ):
        read_pseudonyms(path)


def test_a_verdict_on_a_long_outline_is_read(tmp_path: Path) -> None:
    points = [(i, 0) for i in range(30_000)] + [(30_000, 9), (0, 9), (0, 0)]
    outline = "POLYGON ((" + ", ".join(f"{x} {y}" for x, y in points) + "))"
    row = dict.fromkeys(VERDICT_COLUMNS, "") | {
        "slide_id": "a", "geometry": f'"{outline}"', "head": "malignancy", "verdict": "benign", "reader": "r",
        "time": "2026-01-31T09:30:00Z", "shown": "scores", "schema": "inkdot.verdicts/2",
    }  # fmt: skip
    path = tmp_path / "verdicts.csv"
    path.write_text(",".join(VERDICT_COLUMNS) + "\n" + ",".join(row[name] for name in VERDICT_COLUMNS) + "\n")
    assert [verdict.verdict for verdict in read_verdicts(path, DEFAULT_HEADS)] == ["benign"]


@pytest.mark.parametrize("text", [DEEP, HUGE, "[1]", f'{{"version": {HUGE}}}', '"a"', "\x00"])
def test_a_description_of_a_model_that_is_odd_json_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(StorageError, match=r"model\.json: expected") as error:
        read_model_file(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", [DEEP, HUGE, "[1]", '"a"', '{"version": 1}'])
def test_a_footer_that_is_odd_json_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata({b"inkdot": text.encode()}), path)
    with pytest.raises(StorageError, match=r"a\.parquet: expected") as error:
        read_footer(path, "inkdot.scores/4")
    assert "\n" not in str(error.value)


ENTRY = {"verdicts": {"malignancy": {"verdict": "benign", "time": "2026-01-31T09:30:00Z"}}, "note": None}


def store(path: Path) -> Path:
    made = VerdictStore(path)
    made.record(Change("r", Study("m", "scores", ""), "k", "a", "POLYGON EMPTY", 1, 0.5, ENTRY, False, "t"))
    made.close()
    return path


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *[
            ("entry", text)
            for text in (DEEP, HUGE, "[]", "{}", "1", '{"verdicts": [1]}', '{"verdicts": {"a": "b"}}')
        ],
        ("entry", json.dumps({**ENTRY, "note": "text"})),
        ("entry", b"\xff"),
        ("entry", 7),
        ("rank", "first"),
        ("score", "high"),
        ("slide_id", b"\x00\xff"),
    ],
)
def test_a_wrong_entry_of_stored_verdicts_is_one_line_when_read_and_when_served(
    tmp_path: Path, column: str, value: object
) -> None:
    path = store(tmp_path / "reviews.sqlite")
    assert [change.entry for change in read_verdict_store(path)] == [ENTRY]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE changes SET {column} = ?", (value,))  # noqa: S608 (the columns above)
    for read in (read_verdict_store, VerdictStore):
        with pytest.raises(StorageError, match=r"found a damaged file: .*; restore it from a copy") as error:
            read(path)
        assert "\n" not in str(error.value)
