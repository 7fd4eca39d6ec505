"""A worker process that hangs or dies is replaced, and only its own slide fails."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from inkdot.execution.process_pool import ProcessPool, WorkerPool
from inkdot.execution.watchdog import heartbeat
from inkdot.records import SlideEntry

ENTRIES = [SlideEntry(name, Path(f"{name}.svs")) for name in ("a", "b", "c", "d")]


@dataclass(frozen=True)
class Task:
    """Hangs, dies or finishes by the name of the slide, and leaves a file per try."""

    folder: Path
    hangs: str = ""
    dies: str = ""
    dies_once: str = ""
    slow_but_alive: str = ""
    starved: str = ""
    trickles: str = ""
    spins: str = ""

    def __call__(self, entry: SlideEntry) -> str:
        name = entry.slide_id
        tries = len(list(self.folder.glob(f"{name}.*")))
        (self.folder / f"{name}.{os.getpid()}.{tries}").touch()
        if name in self.hangs:
            time.sleep(600)
        if name in self.dies or (name in self.dies_once and tries == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if name in self.slow_but_alive:
            for _ in range(24):
                time.sleep(0.25)
                heartbeat()
        if name in self.starved:
            use_a_tenth_of_a_processor(5.0)
        if name in self.trickles:
            read_slowly(5.0)
        if name in self.spins:
            while True:
                pass
        return "done"

    def tries(self, name: str) -> int:
        return len(list(self.folder.glob(f"{name}.*")))


def use_a_tenth_of_a_processor(seconds: float) -> None:
    """As on a machine that other programs keep busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        busy = time.process_time() + 0.02
        while time.process_time() < busy:
            pass
        time.sleep(0.18)


def read_slowly(seconds: float) -> None:
    """As from a disk that gives a few bytes at a time."""
    end = time.monotonic() + seconds
    with Path(__file__).open("rb", buffering=0) as file:
        while time.monotonic() < end:
            file.seek(0)
            file.read(1)
            time.sleep(0.5)


def outcomes(pool: ProcessPool, task: Task) -> dict[str, tuple[str, str]]:
    with closing(pool):
        return {result.slide_id: (result.outcome, result.reason) for result in pool.run(ENTRIES, task)}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_slide_that_hangs_is_stopped_and_named_and_one_that_is_slow_is_not(tmp_path: Path) -> None:
    task = Task(tmp_path, hangs="b", slow_but_alive="c")
    start = time.monotonic()
    found = outcomes(ProcessPool(2, slide_timeout_s=3.0), task)  # that one takes 6 s
    assert time.monotonic() - start < 300  # and the hung one would take 600
    assert {name: outcome for name, (outcome, _) in found.items()} == {
        "a": "done", "b": "failed", "c": "done", "d": "done",
    }  # fmt: skip
    assert "b.svs" in found["b"][1]
    assert "found no progress for 3 s (0." in found["b"][1]
    assert " of processor time and 0 B read in 3 s)" in found["b"][1]
    assert task.tries("b") == 1


@pytest.mark.slow
def test_a_slide_on_a_busy_machine_or_a_slow_disk_is_waited_for(tmp_path: Path) -> None:
    task = Task(tmp_path, starved="a", trickles="b" if sys.platform != "darwin" else "")
    found = outcomes(ProcessPool(2, slide_timeout_s=1.5), task)
    assert {name: outcome for name, (outcome, _) in found.items()} == dict.fromkeys("abcd", "done")


@pytest.mark.slow
def test_a_decoder_that_computes_for_ever_is_stopped_and_named(tmp_path: Path) -> None:
    found = outcomes(ProcessPool(1, slide_timeout_s=1.5), Task(tmp_path, spins="b"))
    assert [found[name][0] for name in "abcd"] == ["done", "failed", "done", "done"]
    assert "b.svs: expected pixels, found none after 1.5 s of computing (1." in found["b"][1]


@pytest.mark.slow
def test_a_single_process_has_a_time_limit_too(tmp_path: Path) -> None:
    task = Task(tmp_path, hangs="a")
    found = outcomes(ProcessPool(1, slide_timeout_s=1.5), task)
    assert [found[name][0] for name in "abcd"] == ["failed", "done", "done", "done"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_the_slide_of_a_killed_process_is_retried_once_alone(tmp_path: Path) -> None:
    task = Task(tmp_path, dies="b", dies_once="c")
    found = outcomes(ProcessPool(2), task)
    assert [found[name][0] for name in "abcd"] == ["done", "failed", "done", "done"]
    assert "died twice" in found["b"][1]
    assert (task.tries("b"), task.tries("c"), task.tries("a")) == (2, 2, 1)


def test_a_pool_keeps_its_processes_between_batches(tmp_path: Path) -> None:
    task = Task(tmp_path)
    pool = WorkerPool(1, None)
    for entry in ENTRIES:
        assert [result.outcome for result in pool.run([entry], task)] == ["done"]
    pool.close()
    assert len({path.name.split(".")[1] for path in tmp_path.iterdir()}) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_worker_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_process_pool import ENTRIES, Task\n"
        "from inkdot.execution.process_pool import ProcessPool\n"
        "if __name__ == '__main__':\n"
        f"    list(ProcessPool(2).run(ENTRIES, Task(Path({str(tmp_path)!r}), hangs='abcd')))\n"
    )
    parent = subprocess.Popen([sys.executable, script])
    children: list[int] = []
    deadline = time.monotonic() + 60
    while len(children) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
        children = [int(path.name.split(".")[1]) for path in tmp_path.glob("?.*.0")]
    assert len(children) == 2
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 50
    while any(_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [child for child in children if _alive(child)] == []


def _alive(process: int) -> bool:
    try:
        # A zombie that its new parent has not reaped yet does no work.
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
