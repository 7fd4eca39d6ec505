"""A name never stands for half a file, whatever ends the writer."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inkdot.errors import UserError
from inkdot.storage.atomic import atomic_path, sweep_partials, write_bytes, write_text

WRITE_HALF_AND_WAIT = """
import sys, time
from pathlib import Path
from inkdot.storage.atomic import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("half written", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_finished_file_has_its_content_and_no_neighbours(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "a.csv", "héad\n")
    assert (tmp_path / "deep" / "a.csv").read_bytes() == "héad\n".encode()
    assert names(tmp_path / "deep") == ["a.csv"]


def test_an_error_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_bytes(path, b"old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            assert temporary.suffix == ".parquet"
            temporary.write_bytes(b"half")
            assert path.read_bytes() == b"old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.parquet"]


def test_a_killed_writer_never_leaves_the_final_name_and_is_swept(tmp_path: Path) -> None:
    path = tmp_path / "tiles" / "s1.parquet"
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_HALF_AND_WAIT, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half written\n"
        writer.kill()
    assert not path.exists()
    (left,) = path.parent.iterdir()
    assert left.name.startswith(".s1.")
    # What merely looks alike is somebody else's.
    for name in (".partial", ".notes.partial.txt", "s1.12345678.partial.parquet", ".s1.parquet"):
        (path.parent / name).write_text("keep")
    assert sweep_partials(tmp_path, "lock") == 1
    assert not left.exists()
    assert len(names(path.parent)) == 4


def test_a_folder_within_that_another_process_may_hold_is_not_swept(tmp_path: Path) -> None:
    partial = tmp_path / "results" / "scores" / ".s1.0123abcd.partial.parquet"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"half")
    (tmp_path / "results" / "lock").touch()
    (tmp_path / "lock").touch()
    assert sweep_partials(tmp_path, "lock") == 0
    assert sweep_partials(tmp_path / "results", "lock") == 1


def test_two_writers_of_one_name_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    texts = [bytes([65 + i]) * 200_000 for i in range(8)]
    threads = [threading.Thread(target=write_bytes, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in texts
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("stem", ["a" * 240, "ü" * 120, "スライド" * 20])
def test_long_and_foreign_names_can_be_written(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.parquet"
    write_bytes(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_file_in_the_folders_region_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("I was here first")
    with pytest.raises(UserError, match=r"run.*expected a folder that can be written, found .*--out"):
        write_bytes(tmp_path / "run" / "a.csv", b"")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder here that even root may not write to")
def test_a_folder_that_is_there_but_takes_no_files_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"a\.csv: expected a writable file, found: .*; make room"):
        write_bytes(Path("/proc/self/a.csv"), b"")


def test_a_folder_in_a_files_path_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv" / "within").mkdir(parents=True)
    with pytest.raises(UserError, match=r"a\.csv: expected a writable file, found: Is a directory"):
        write_bytes(tmp_path / "a.csv", b"")


def test_errors_of_what_is_read_meanwhile_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"), atomic_path(tmp_path / "a.csv") as temporary:
        temporary.write_bytes((tmp_path / "gone").read_bytes())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_bytes(path, b"old")

    def fill() -> None:
        with atomic_path(path) as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_bytes(b"new")

    with pytest.raises(
        UserError, match=r"a\.csv: expected a writable file, found: No space left .*; make room"
    ):
        fill()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.csv"]  # noqa: PTH208  # also what a glob would hide
