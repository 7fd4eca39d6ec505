"""The installation says beforehand when a disk is too small for it."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_room.py"


@pytest.fixture(scope="module")
def shortages():
    spec = importlib.util.spec_from_file_location("check_room", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.shortages


def test_what_is_short_is_named_with_both_sizes(shortages, tmp_path: Path) -> None:
    (line,) = shortages({tmp_path: 1e7})
    assert line.startswith(f"{tmp_path}: the installation needs about 10000000.0 GB, ")
    free = float(line.split(", ")[1].split()[0])
    assert free == pytest.approx(shutil.disk_usage(tmp_path).free / 1e9, abs=2)


def test_folders_of_one_disk_are_added_up(shortages, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    free = shutil.disk_usage(tmp_path).free / 1e9
    assert not shortages({tmp_path: 0.6 * free})
    (line,) = shortages({tmp_path: 0.6 * free, other: 0.6 * free})
    assert line.startswith(f"{tmp_path}:")


def test_it_warns_and_does_not_refuse(tmp_path: Path) -> None:
    """The check as make runs it, with a limit that no disk meets."""
    script = tmp_path / "check_room.py"
    text = SCRIPT.read_text(encoding="utf-8")
    assert "KEPT_GB, PASSING_GB = 7.7, 1.5" in text
    script.write_text(text.replace("= 7.7, 1.5", "= 1e7, 1.5"), encoding="utf-8")

    def warning(environment: Path) -> str:
        ended = subprocess.run(
            [sys.executable, script, environment], capture_output=True, text=True, check=True
        )
        assert not ended.stdout
        return ended.stderr

    assert warning(tmp_path / "not" / "there" / ".venv").endswith("make VENV=FOLDER, TMPDIR=FOLDER\n")
    # Where the environment is there already, little is loaded.
    assert warning(tmp_path) == ""
