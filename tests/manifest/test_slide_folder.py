"""Folders of slides, where one slide may be several files."""

import sys
from pathlib import Path

import pytest

from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import read_slides
from inkdot.manifest.slide_folder import dicom_series, slide_files


def dicom(path: Path, series: bytes, size: int) -> None:
    element = b"\x20\x00\x0e\x00UI" + len(series).to_bytes(2, "little") + series
    data = b"\0" * 128 + b"DICM" + b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + element
    path.write_bytes(data.ljust(size, b"\0"))


def names(folder: Path) -> list[str]:
    return [path.name for path in slide_files(folder)]


def test_a_dicom_series_is_one_slide(tmp_path: Path) -> None:
    dicom(tmp_path / "level0.dcm", b"1.2.3\0", 3000)
    dicom(tmp_path / "level1.dcm", b"1.2.3", 2000)
    dicom(tmp_path / "label.dcm", b"1.2.3 ", 1000)
    dicom(tmp_path / "another.dcm", b"1.2.4", 500)
    (tmp_path / "odd.dcm").write_bytes(b"no header")
    (tmp_path / "odd2.dcm").write_bytes(b"no header")
    assert names(tmp_path) == ["another.dcm", "level0.dcm", "odd.dcm", "odd2.dcm"]


def test_images_beside_an_index_are_its_parts(tmp_path: Path) -> None:
    for name in ("a.vms", "a_macro.jpg", "a(0,1).jpg", "b.svs"):
        (tmp_path / name).write_bytes(b"x")
    assert names(tmp_path) == ["a.vms", "b.svs"]
    (tmp_path / "a.vms").unlink()
    assert names(tmp_path) == ["a(0,1).jpg", "a_macro.jpg", "b.svs"]


def test_the_data_folder_of_a_mirax_slide_is_no_slide(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"x")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"x")
    assert names(tmp_path) == ["a.mrxs"]


@pytest.mark.real_data
def test_real_dicom_files_name_their_series(real_data: Path) -> None:
    folder = real_data / "slides"
    expected = b"1.2.276.0.7230010.3.1.3.296485632.4444.1646683084.97878"
    assert dicom_series(folder / "gcp-jpeg.dcm") == expected
    assert len(read_slides(folder, DEFAULT_HEADS)) == 6


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_that_lead_nowhere_are_slides_that_vanished(tmp_path: Path) -> None:
    (tmp_path / "good.svs").write_bytes(b"x")
    (tmp_path / "gone.svs").symlink_to(tmp_path / "nowhere.svs")
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere.dcm")
    (tmp_path / "round.tif").symlink_to(tmp_path / "round.tif")
    (tmp_path / "note.txt").symlink_to(tmp_path / "nowhere.txt")
    (tmp_path / "folder.tif").mkdir()
    assert [path.name for path in slide_files(tmp_path)] == ["gone.dcm", "gone.svs", "good.svs", "round.tif"]
