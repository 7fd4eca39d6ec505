import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "refuse_slide_files.py"


def refuse(*paths: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *paths], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "name", ["a.svs", "b.TIF", "c.ndpi", "d.mrxs", "e.dcm", "f.scn", "g.bif", "h.vms", "i.czi"]
)
def test_refuses_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"anything")
    ended = refuse(path)
    assert ended.returncode == 1
    assert "is a slide's file name" in ended.stdout


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_refuses_a_renamed_tiff(tmp_path: Path, bigtiff: bool, byteorder: str) -> None:
    path = tmp_path / "holiday.png"
    tifffile.imwrite(
        path, np.zeros((8, 8, 3), np.uint8), bigtiff=bigtiff, byteorder=byteorder, photometric="rgb"
    )
    ended = refuse(path)
    assert ended.returncode == 1
    assert "starts like a TIFF" in ended.stdout


def test_refuses_a_renamed_dicom(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_bytes(bytes(128) + b"DICM" + bytes(64))
    assert "starts like a DICOM" in refuse(path).stdout


def test_refuses_a_big_file(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    path.write_bytes(b"1" * 1_000_001)
    assert "1,000,001 bytes" in refuse(path).stdout


def test_weights_may_be_larger_in_models_alone(tmp_path: Path) -> None:
    shipped, strayed = tmp_path / "models/demo/weights.safetensors", tmp_path / "src/weights.safetensors"
    for path in (shipped, strayed):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"1" * 1_000_001)
    assert refuse(shipped).returncode == 0
    assert "1,000,001 bytes" in refuse(strayed).stdout
    shipped.write_bytes(b"1" * 16_000_001)
    assert "16,000,001 bytes" in refuse(shipped).stdout


def test_lets_the_rest_pass(tmp_path: Path) -> None:
    fine = tmp_path / "a.py"
    fine.write_text("print()\n", encoding="utf-8")
    empty = tmp_path / "empty"
    empty.touch()
    exactly = tmp_path / "b.csv"
    exactly.write_bytes(b"1" * 1_000_000)
    ended = refuse(fine, empty, exactly)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_looks_at_tracked_files_when_none_is_named(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "late.svs").write_bytes(b"x")
    assert refuse(cwd=tmp_path).returncode == 0
    subprocess.run(["git", "add", "late.svs"], cwd=tmp_path, check=True)
    ended = refuse(cwd=tmp_path)
    assert ended.returncode == 1
    assert "late.svs" in ended.stdout
