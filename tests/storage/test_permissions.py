"""What commands write can be read by the user alone, unless they say otherwise."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from inkdot.errors import UserError
from inkdot.storage.atomic import write_text
from inkdot.storage.locking import locked
from inkdot.storage.permissions import private_files
from inkdot.storage.verdict_store import VerdictStore

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")


def modes(root: Path) -> set[tuple[str, int]]:
    # SQLite and the lock give the group no more than reading.
    found = [path for path in (root, *root.rglob("*")) if path.suffix not in {".sqlite", ".lock"}]
    return {("folder" if path.is_dir() else "file", stat.S_IMODE(path.stat().st_mode)) for path in found}


def write_results(root: Path) -> None:
    """As commands do: under a lock, atomically, in folders that are made for it, and a database."""
    with locked(root / "a.lock"):
        write_text(root / "scores" / "a.csv", "x")
        VerdictStore(root / "reviews.sqlite").close()
        subprocess.run(  # as a worker
            [sys.executable, "-c", f"open({str(root / 'worker.csv')!r}, 'w').close()"], check=True
        )


@pytest.mark.parametrize(
    ("umask", "named", "file", "folder"),
    [
        (0o022, "", 0o600, 0o700),
        (0o002, "", 0o600, 0o700),
        (0o022, "027", 0o640, 0o750),
        (0o077, "007", 0o660, 0o770),
    ],
)
def test_files_are_private_unless_a_umask_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int, named: str, file: int, folder: int
) -> None:
    monkeypatch.setenv("INKDOT_UMASK", named)
    earlier = os.umask(umask)
    try:
        with private_files():
            write_results(tmp_path / "results")
        assert os.umask(umask) == umask  # as it was
    finally:
        os.umask(earlier)
    assert modes(tmp_path / "results") == {("folder", folder), ("file", file)}
    for path in (tmp_path / "results").iterdir():
        assert path.stat().st_mode & 0o777 & ~folder == 0


def test_a_narrower_umask_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INKDOT_UMASK", raising=False)
    earlier = os.umask(0o177)
    try:
        with private_files():
            (tmp_path / "file").touch()
            assert os.umask(0o177) == 0o177
    finally:
        os.umask(earlier)


@pytest.mark.parametrize("text", ["rw", "8", "1000", "-1", "700"])
def test_what_is_no_umask_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKDOT_UMASK", text)
    before = os.umask(0o022)
    os.umask(before)
    with pytest.raises(UserError, match="INKDOT_UMASK: expected an octal umask"), private_files():
        pass
    after = os.umask(before)
    assert after == before


def test_the_command_line_writes_private_files(inkdot_command: list[str], tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "INKDOT_UMASK"}
    config = tmp_path / "made" / "config.yaml"
    command = ["sh", "-c", 'umask 022; exec "$@"', "sh", *inkdot_command, "init", "--out", str(config)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    assert modes(tmp_path / "made") == {("folder", 0o700), ("file", 0o600)}
