"""One stage at a time in an output folder."""

import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from inkdot.errors import UserError
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked

HOLD = """
import sys
from pathlib import Path
from inkdot.storage.locking import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    lock = RunLayout(tmp_path / "run").lock
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        started = time.monotonic()
        with pytest.raises(UserError, match="found another inkdot working in it"), locked(lock):
            pass
        assert time.monotonic() - started < 30  # the holder would never let go
        holder.kill()
    with locked(lock):
        pass
    with locked(lock):  # and again
        pass


def test_the_lock_makes_the_folder_and_sweeps_what_a_dead_process_left(tmp_path: Path) -> None:
    run = RunLayout(tmp_path / "new" / "run")
    with locked(run.lock):
        assert run.root.is_dir()
    left = run.tiles("s1").with_name(".s1.0123abcd.partial.parquet")
    left.parent.mkdir()
    left.write_bytes(b"half")
    with locked(run.lock):
        assert not left.exists()


@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_what_a_helper_left_that_died_goes_when_the_lock_does(tmp_path: Path, outcome: str) -> None:
    run = RunLayout(tmp_path / "run")
    left, whole = (
        run.scores("s1").with_name(name) for name in (".s1.0123abcd.partial.parquet", "s1.parquet")
    )

    def work() -> None:
        with locked(run.lock):
            left.parent.mkdir()
            left.write_bytes(b"half")
            whole.write_bytes(b"whole")
            if outcome == "failed":
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) if outcome == "failed" else nullcontext():
        work()
    assert whole.exists()
    assert not left.exists()


def test_a_file_in_the_folders_region_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with (
        pytest.raises(UserError, match="expected a folder that can be written"),
        locked(tmp_path / "run" / "l"),
    ):
        pass


def test_errors_of_the_work_inside_are_not_taken_for_the_locks(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="a slide"), locked(tmp_path / "run" / "l"):
        raise PermissionError("a slide")
    with locked(tmp_path / "run" / "l"):  # freed all the same
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_in_place_of_the_lock_empties_no_file(tmp_path: Path) -> None:
    """filelock before 3.20.3 did: whoever may write into a shared folder chose which file of its users was lost."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock = RunLayout(tmp_path / "out").lock
    lock.parent.mkdir()
    lock.symlink_to(victim)
    with pytest.raises(UserError, match="expected a folder that can be written"), locked(lock):
        pass
    assert victim.read_text() == "precious"
