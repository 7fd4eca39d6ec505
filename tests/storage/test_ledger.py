"""What happened to each slide: one line each, in the order it happened."""

import json
import re
import threading
from pathlib import Path

import pytest

from inkdot.errors import UserError
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import LedgerLine, append, failures, read, read_all

LINES = [
    LedgerLine("tile", "s1", "done", 1.25),
    LedgerLine("tile", "Präparat 2", "failed", 0.5, "expected a slide file, found nothing there"),
    LedgerLine("predict", "s1", "reused", 0.0),
]


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.jsonl"
    assert list(read(path)) == []
    for line in LINES:
        append(path, line)
    assert list(read(path)) == LINES


def test_the_form_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    append(path, LINES[1])
    text = path.read_text(encoding="utf-8")
    golden = (Path(__file__).parent / "golden" / "ledger.jsonl").read_text(encoding="utf-8")
    assert re.sub(r'"time": "[^"]+"', '"time": "TIME"', text) == golden
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", json.loads(text)["time"])


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    append(path, LINES[0])
    append(path, LINES[1])
    path.write_bytes(path.read_bytes()[:-9])  # killed while it wrote the second
    append(path, LINES[2])
    assert list(read(path)) == [LINES[0], LINES[2]]


def test_a_retry_of_the_same_second_comes_after_the_failure_in_whichever_ledger_they_are(
    tmp_path: Path,
) -> None:
    whole, first, last = (RunLayout(tmp_path, shard) for shard in ("", "1-of-2", "2-of-2"))
    for layout in (first, last):
        layout.shard_json.parent.mkdir(parents=True)
        layout.shard_json.write_text("{}")  # by which a shard is known
    for order in ((last, first), (last, whole), (first, last)):
        for layout in (whole, first, last):
            layout.ledger.unlink(missing_ok=True)
        append(order[0].ledger, LedgerLine("tile", "s1", "failed", 0.0, "expected a slide"))
        append(order[1].ledger, LedgerLine("tile", "s1", "done", 0.0))
        assert [line.outcome for line in read_all(whole)] == ["failed", "done"]
        assert failures(read_all(whole)) == {}


def test_lines_of_several_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    expected = {LedgerLine("tile", f"s{i}", "done", 0.0, "x" * i) for i in range(200)}

    def write(lines: list[LedgerLine]) -> None:
        for line in lines:
            append(path, line)

    ordered = sorted(expected, key=lambda line: line.slide_id)
    threads = [threading.Thread(target=write, args=(ordered[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read(path)) == expected


def test_names_that_are_not_text_are_written_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    append(path, LedgerLine("tile", "sl\udce9de\n", "failed", 0.0, 'a "quote", a\nnew line'))
    (line,) = read(path)
    assert line.reason == 'a "quote", a\nnew line'
    assert path.read_bytes().count(b"\n") == 1


def test_a_link_in_place_of_the_ledger_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "ledger.jsonl").symlink_to(victim)
    with pytest.raises(UserError, match="expected a file, found a link"):
        append(tmp_path / "ledger.jsonl", LedgerLine("predict", "a", "done", 1.0))
    assert victim.read_text() == "precious"
