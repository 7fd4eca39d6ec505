import io
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from inkdot.errors import NotBrightFieldError
from inkdot.execution.runner import BatchSummary, failure_table, print_summary, run_slides
from inkdot.records import SlideEntry
from inkdot.storage import ledger
from inkdot.storage.layout import RunLayout

ENTRIES = [SlideEntry(name, Path(name)) for name in ("a", "b", "c", "d", "e")]


@dataclass(frozen=True)
class Task:
    """Does to each slide what its name stands for."""

    folder: Path
    dies: str = ""
    fails: str = ""
    breaks: str = ""
    starves: str = ""

    def __call__(self, entry: SlideEntry) -> str:
        name = entry.slide_id
        (self.folder / f"{name}.{os.getpid()}").touch()
        if name in self.dies:
            time.sleep(0.2)
            os._exit(9)
        if name in self.fails:
            raise NotBrightFieldError("expected cells,\nfound none")
        if name in self.breaks:
            raise ZeroDivisionError("division by zero")
        if name in self.starves:
            raise MemoryError
        time.sleep(0.05)
        return "reused" if name == "e" else "done"


@pytest.mark.parametrize("workers", [1, 3])
def test_every_slide_is_tried_and_the_summary_is_sorted(tmp_path: Path, workers: int):
    summary = run_slides("tile", ENTRIES[::-1], Task(tmp_path), RunLayout(tmp_path), workers=workers)
    assert summary == BatchSummary("tile", ("a", "b", "c", "d"), ("e",), {})
    assert summary.exit_code == 0
    processes = {path.suffix for path in tmp_path.glob("[a-e].*")}
    assert (str(os.getpid()) in {suffix[1:] for suffix in processes}) == (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_slide_that_fails_is_named_and_the_others_go_on(tmp_path: Path, workers: int):
    task = Task(tmp_path, fails="b", breaks="d")
    summary = run_slides("tile", ENTRIES, task, RunLayout(tmp_path), workers=workers)
    assert summary.done == ("a", "c")
    assert summary.failed == {
        "b": "expected cells, found none",
        "d": "unexpected ZeroDivisionError: division by zero",
    }
    assert summary.exit_code == 1
    lines = {line.slide_id: line for line in ledger.read(RunLayout(tmp_path).ledger)}
    assert {name: line.outcome for name, line in lines.items()} == {
        **dict.fromkeys("ac", "done"),
        **dict.fromkeys("bd", "failed"),
        "e": "reused",
    }
    assert lines["b"].reason == "expected cells, found none"
    assert lines["a"].seconds >= 0.05
    assert {line.stage for line in lines.values()} == {"tile"}


def test_a_process_that_dies_fails_only_its_own_slide(tmp_path: Path):
    summary = run_slides("tile", ENTRIES, Task(tmp_path, dies="b"), RunLayout(tmp_path), workers=2)
    assert list(summary.failed) == ["b"]
    assert "process" in summary.failed["b"]
    assert summary.done == ("a", "c", "d")
    assert summary.reused == ("e",)


@pytest.mark.parametrize("workers", [1, 2])
def test_running_out_of_memory_is_one_slides_failure(tmp_path: Path, workers: int):
    summary = run_slides("tile", ENTRIES, Task(tmp_path, starves="b"), RunLayout(tmp_path), workers=workers)
    assert summary.done == ("a", "c", "d")
    assert "expected enough memory, found none left" in summary.failed["b"]


def test_a_full_disk_under_the_ledger_does_not_end_the_batch(tmp_path: Path):
    (tmp_path / "ledger.jsonl").mkdir()  # cannot be written, as on a full disk, and by nobody
    summary = run_slides("tile", ENTRIES, Task(tmp_path), RunLayout(tmp_path))
    assert summary.done == ("a", "b", "c", "d")
    assert summary.exit_code == 1
    console = Console(file=io.StringIO(), width=200)
    print_summary(console, [summary])
    assert "lines are missing in the ledger" in console.file.getvalue()


def test_interrupting_is_not_a_slides_failure(tmp_path: Path):
    def interrupted(entry: SlideEntry) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_slides("tile", ENTRIES, interrupted, RunLayout(tmp_path), workers=1)


def test_the_summary_is_a_table_of_slide_stage_and_reason():
    tiled = BatchSummary("tile", ("a",), (), {"z[red]": "expected mpp, found none"})
    scored = BatchSummary("predict", (), ("a",), {"b": "damaged"})
    console = Console(file=io.StringIO(), width=100)
    print_summary(console, [tiled, scored])
    text = console.file.getvalue()
    assert "tile: 1 done, 1 failed" in text
    assert "predict: 1 reused, 1 failed" in text
    rows = [line for line in text.splitlines() if "expected mpp" in line or "damaged" in line]
    assert ["b" in rows[0], "predict" in rows[0]] == [True, True]
    assert ["z[red]" in rows[1], "tile" in rows[1]] == [True, True]  # a name is not markup


def test_without_failures_there_is_no_table():
    assert failure_table([BatchSummary("tile", ("a",), (), {})]) is None
