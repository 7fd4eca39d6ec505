"""Verdicts on the server: checked, on disk before they are acknowledged, private to each reader, imported as labels."""

import csv
import io
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkdot.errors import StorageError
from inkdot.labels import DEFAULT_HEADS
from inkdot.review.verdicts.stored_verdicts import read_stored_verdicts
from inkdot.serve.reader_verdicts import ReaderVerdicts
from inkdot.stages.review import agreement as review_agreement
from inkdot.stages.review import import_verdicts as review_import
from inkdot.storage.layout import RunLayout
from inkdot.storage.verdict_store import VerdictStore, read_verdict_store

MALIGNANT = {"malignancy": "malignant", "morphology": "small_cell"}
NO_CELL = {"cell_finder": "not_a_cell"}


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_an_acknowledged_verdict_is_in_the_file(served: Any, results: RunLayout) -> None:
    client = served.client(served.readers[0])
    kept = served.verdict(client, served.regions()[0], MALIGNANT, " =note ").json()
    assert kept["entry"]["verdicts"]["malignancy"]["verdict"] == "malignant"
    assert kept["entry"]["note"]["text"] == "=note"
    # Another connection, while the server still has the file open: what a killed server leaves behind.
    (change,) = read_verdict_store(results.reviews_sqlite)
    assert (change.reader, change.rank, change.score, change.study.shown) == ("dr-a", 1, 0.95, "scores")
    assert change.geometry == "POLYGON ((600 400, 800 400, 800 600, 600 600, 600 400))"
    assert change.entry == kept["entry"]


def test_the_database_uses_a_write_ahead_log_and_full_sync(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    store = VerdictStore(path)
    connection: sqlite3.Connection = store._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    store.close()
    assert not path.with_name("r.sqlite-wal").exists()  # one file to copy


def test_readers_do_not_see_each_other_s_verdicts(served: Any) -> None:
    first, second = (served.client(reader) for reader in served.readers)
    served.verdict(first, served.regions()[0], MALIGNANT, "a secret remark")
    assert "a secret remark" in first.get("/review").text
    for page in ("/", "/review", "/verdicts.csv"):
        text = second.get(page).text
        assert "a secret remark" not in text, page
        assert "dr-a" not in text, page
    served.verdict(second, served.regions()[0], {"malignancy": "benign"})
    assert [row["verdict"] for row in rows_of(second.get("/verdicts.csv").text)] == ["benign"]
    assert [row["verdict"] for row in rows_of(first.get("/verdicts.csv").text)] == ["malignant", "small_cell"]


def test_the_same_state_sent_again_changes_nothing(served: Any) -> None:
    client, key = served.client(served.readers[0]), served.regions()[0]
    first = served.verdict(client, key, MALIGNANT).json()
    assert served.verdict(client, key, MALIGNANT).json() == first
    assert len(served.store.history("dr-a", served.shown.study)) == 1


def test_an_unchanged_verdict_keeps_its_time(served: Any) -> None:
    client, key = served.client(served.readers[0]), served.regions()[0]
    first = served.verdict(client, key, {"malignancy": "malignant"}).json()["entry"]
    later = served.verdict(client, key, MALIGNANT, "seen again").json()["entry"]
    assert later["verdicts"]["malignancy"] == first["verdicts"]["malignancy"]
    assert set(later["verdicts"]) == {"malignancy", "morphology"}


def test_undo_works_after_a_restart(serve: Callable[..., Any]) -> None:
    served = serve()
    client, (one, two, *_) = served.client(served.readers[0]), served.regions()
    served.verdict(client, one, {"malignancy": "benign"})
    served.verdict(client, two, {"malignancy": "atypical"})
    served.verdict(client, two, {"malignancy": "unsure"})
    served.verdict(client, two, {"malignancy": "atypical"}, undo=True)
    again = serve()
    found: Any = ReaderVerdicts(again.store, again.shown).state(again.readers[0])
    assert [(step["key"], list(step["before"]["verdicts"])) for step in found["steps"]] == [
        (one, []),
        (two, []),
    ]
    assert found["entries"][two]["verdicts"]["malignancy"]["verdict"] == "atypical"
    served.verdict(client, two, {}, undo=True)
    found = ReaderVerdicts(again.store, again.shown).state(again.readers[0])
    assert set(found["entries"]) == {one}


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"key": "nowhere", "verdicts": {}, "note": ""}, "a region or slide of this review"),
        ({"verdicts": {"grade": "high"}}, "a head of this review"),
        ({"verdicts": {"malignancy": "certainly"}}, "one of its verdicts"),
        ({"verdicts": {"morphology": "small_cell"}}, "only where the verdict on malignancy is malignant"),
        (
            {"verdicts": {"malignancy": "benign", "morphology": "mixed"}},
            "only where the verdict on malignancy",
        ),
        (
            {"verdicts": {"malignancy": "atypical", "morphology": "mixed"}},
            "only where the verdict on malignancy",
        ),
        ({"verdicts": NO_CELL | {"malignancy": "benign"}}, "'not a cell' or verdicts on the heads"),
        ({"verdicts": {"cell_finder": "malignant"}}, "one of its verdicts"),
        ({"verdicts": {"malignancy": 1}}, "expected verdicts by head"),
        ({"verdicts": ["malignant"]}, "expected key, verdicts and note"),
        ({"note": None}, "expected key, verdicts and note"),
        ({"note": "x" * 2001}, "at most 2000 characters, found 2001"),
        ([1], "expected an object"),
    ],
)
def test_an_invalid_verdict_is_refused_with_a_message(served: Any, sent: Any, message: str) -> None:
    reader = served.readers[0]
    client = served.client(reader)
    if isinstance(sent, dict):
        sent = {"key": served.regions()[0], "verdicts": {}, "note": ""} | sent
    response = client.post("/verdicts", json=sent, headers={"x-inkdot-page": reader.page_key})
    assert response.status_code == 422
    assert message in response.text
    assert served.store.latest() == []


def test_invalid_or_too_long_json_is_refused(served: Any) -> None:
    reader = served.readers[0]
    client, key = served.client(reader), {"x-inkdot-page": reader.page_key}
    json_kind = {"content-type": "application/json"}
    assert client.post("/verdicts", content=b"{", headers=key | json_kind).status_code == 422
    assert (
        client.post("/verdicts", content=b"{}", headers=key | {"content-type": "text/plain"}).status_code
        == 415
    )
    assert client.post("/verdicts", content=b" " * 70_000, headers=key | json_kind).status_code == 413


def test_not_a_cell_is_a_verdict_of_its_own_in_file_table_and_progress(served: Any, tmp_path: Path) -> None:
    client = served.client(served.readers[0])
    one, two, *_ = served.regions()
    served.verdict(client, one, MALIGNANT)
    served.verdict(client, one, NO_CELL)
    served.verdict(client, two, NO_CELL)
    served.verdict(client, two, {}, undo=True)
    (row,) = rows_of(client.get("/verdicts.csv").text)
    assert (row["rank"], row["head"], row["verdict"]) == ("1", "cell_finder", "not_a_cell")
    slides: Any = ReaderVerdicts(served.store, served.shown).overview(served.readers[0])["slides"]
    assert [slide["reviewed"] for slide in slides][:2] == [1, 0]
    review_import.run(
        [served.store._path], tmp_path / "labels.csv", finder_corrections=tmp_path / "corrections.csv"
    )
    assert rows_of((tmp_path / "labels.csv").read_text(encoding="utf-8")) == []
    (found,) = rows_of((tmp_path / "corrections.csv").read_text(encoding="utf-8"))
    assert (found["answer"], found["reader"], found["geometry"]) == ("not_a_cell", "dr-a", row["geometry"])


def test_the_server_s_table_has_the_form_of_the_gallery_s(served: Any, tmp_path: Path) -> None:
    client = served.client(served.readers[0])
    one, two, three, _ = served.regions()
    served.verdict(client, one, MALIGNANT, "@formula")
    served.verdict(client, two, {}, "a note alone")
    served.verdict(client, three, {"malignancy": "benign"})
    served.verdict(client, three, {}, undo=True)
    response = client.get("/verdicts.csv")
    assert "attachment" in response.headers["content-disposition"]
    rows = rows_of(response.text)
    assert [(row["rank"], row["head"], row["verdict"]) for row in rows] == [
        ("1", "malignancy", "malignant"),
        ("1", "morphology", "small_cell"),
        ("2", "", ""),
    ]
    assert (rows[0]["note"], rows[0]["score"], rows[0]["model_sha256"]) == ("'@formula", "0.95", "ab" * 32)
    path = tmp_path / "verdicts.csv"
    path.write_bytes(response.content)
    from_server = read_stored_verdicts(path, DEFAULT_HEADS)
    from_file = read_stored_verdicts(served.store._path, DEFAULT_HEADS)
    assert from_file == from_server


def test_import_gives_the_same_labels_from_the_database_and_from_the_tables(
    served: Any, tmp_path: Path
) -> None:
    tables: list[Path] = []
    for number, reader in enumerate(served.readers):
        client = served.client(reader)
        for key in served.regions():
            served.verdict(client, key, MALIGNANT if number == 0 else {"malignancy": "benign"})
        tables.append(tmp_path / f"{reader.name}.csv")
        tables[-1].write_bytes(client.get("/verdicts.csv").content)
    review_import.run(tables, tmp_path / "from_tables.csv")
    review_import.run([served.store._path], tmp_path / "from_file.csv")
    text = (tmp_path / "from_file.csv").read_text(encoding="utf-8")
    assert text == (tmp_path / "from_tables.csv").read_text(encoding="utf-8")
    assert len(rows_of(text)) == 4 * 3
    assert {row["source"] for row in rows_of(text)} == {"review, scores shown, model abababababab"}


def test_agreement_reads_the_database(served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for reader in served.readers:
        client = served.client(reader)
        for slide in (0, 1):
            for number, key in enumerate(served.regions(slide)):
                served.verdict(client, key, {"malignancy": "malignant" if number % 2 else "benign"})
    review_agreement.run([served.store._path])
    assert "dr-a, dr-b" in " ".join(capsys.readouterr().out.split())


def test_a_blinded_review_hides_scores_and_stores_its_verdicts_separately(serve: Callable[..., Any]) -> None:
    open_, blinded = serve(), serve(blinded_seed=11)
    client = open_.client(open_.readers[0])
    for key in open_.regions():
        open_.verdict(client, key, {"malignancy": "benign"})
    hidden = blinded.client(blinded.readers[0])
    text = hidden.get("/review").text
    assert "0.95" not in text
    assert '"entries":{}' in text
    slide = next(iter(blinded.shown.slides))
    for layer in ("scores", "clusters", "annotations"):
        assert hidden.get(f"/slides/{slide}/layers/{layer}").status_code == 404
    blinded.verdict(hidden, blinded.regions()[0], {"malignancy": "unsure"})
    (row,) = rows_of(hidden.get("/verdicts.csv").text)
    assert (row["shown"], row["score"], row["order_seed"]) == ("blinded", "", "11")


def test_only_pseudonyms_are_shown_and_import_resolves_them(
    serve: Callable[..., Any], results: RunLayout, tmp_path: Path
) -> None:
    served = serve(pseudonymise=True)
    client = served.client(served.readers[0])
    for page in ("/", "/review"):
        text = client.get(page).text
        assert "O'Neil" not in text
        assert "S2 clean" not in text
        assert "S3 broken" not in text
    served.verdict(client, served.regions()[0], MALIGNANT)
    review_import.run([results.reviews_sqlite], tmp_path / "labels.csv", results=results.root)
    rows = rows_of((tmp_path / "labels.csv").read_text(encoding="utf-8"))
    assert {row["slide_id"] for row in rows} == {"O'Neil & {{facts}} %2e%2e `S1`"}


def test_other_newer_and_damaged_databases_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE x (y)")
    connection.close()
    with pytest.raises(StorageError, match="another program's database"):
        VerdictStore(other)
    with pytest.raises(StorageError, match="another program's database"):
        read_verdict_store(other)
    newer = tmp_path / "newer.sqlite"
    VerdictStore(newer).close()
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(StorageError, match="version 3, found 9"):
        read_verdict_store(newer)
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(newer.read_bytes()[:100] + b"\xff" * 5000)
    with pytest.raises(StorageError, match="damaged file"):
        read_verdict_store(damaged)
    with pytest.raises(StorageError, match="expected a file that SQLite can write"):
        VerdictStore(tmp_path / "missing" / "r.sqlite")
