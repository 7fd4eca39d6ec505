"""Folders of slides, where one slide may be several files."""

import os
import sys
import unicodedata
from pathlib import Path

import pytest

from inkdot.errors import ManifestError
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import read_slides, source_notes
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


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_what_is_passed_over_is_named(tmp_path: Path) -> None:
    touched(
        tmp_path,
        "ok.svs",
        "b.vsi",
        "c.isyntax",
        "d.bmp",
        "slides.csv",
        "ok.geojson",
        "notes.TXT",
        "more.txt",
        "report.pdf",
        "export.json",
        ".hidden.vsi",
        "more/e.svs",
    )
    touched(tmp_path, "m.mrxs", "m/Index.dat", ".git/f.svs")
    assert source_notes([tmp_path, tmp_path / "ok.svs", tmp_path / "slides.csv"]) == [
        f"{tmp_path}: 3 files (b.vsi, c.isyntax, d.bmp) passed over: of a kind that is not read, or a name that is no text",
        f"{tmp_path}: files beside the slides not read: 2 .txt, 1 .csv, 1 .geojson, 1 .json, 1 .pdf",
        f"{tmp_path}: 1 subfolder (more) not searched; name them too, or list the slides in a slides.csv",
    ]


def test_a_folder_without_slides_names_what_it_holds(tmp_path: Path) -> None:
    touched(tmp_path, "a.vsi", "case 1/a.svs")
    with pytest.raises(
        ManifestError, match=r"found none; .*1 file \(a\.vsi\) .*; 1 subfolder \(case 1\) not searched"
    ):
        read_slides(tmp_path, DEFAULT_HEADS)


def test_images_that_no_index_names_are_passed_over_by_name(tmp_path: Path) -> None:
    touched(tmp_path, "a(0,1).jpg", "a_macro.jpg", "photograph.jpg")
    (tmp_path / "a.vms").write_text(
        "[Virtual Microscope Specimen]\nImageFile=a(0,1).jpg\nMacroImage=a_macro.jpg\n"
    )
    assert names(tmp_path) == ["a.vms"]
    assert source_notes([tmp_path]) == [
        f"{tmp_path}: 1 file (photograph.jpg) passed over: of a kind that is not read, or a name that is no text"
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="such names cannot exist there")
def test_names_that_are_no_slide_id_do_not_stop_a_batch(tmp_path: Path) -> None:
    long = "x" * 240
    touched(tmp_path, "a<1>.svs", "a_1_.svs", "a>1<.svs", "b\n.svs", "plain.svs", " end. .svs", f"{long}.svs")
    entries = {entry.path.name: entry.slide_id for entry in read_slides(tmp_path, DEFAULT_HEADS)}
    assert entries["a_1_.svs"] == "a_1_"
    assert {entries["a<1>.svs"], entries["a>1<.svs"]} == {"a_1__2", "a_1__3"}
    assert (entries["b\n.svs"], entries["plain.svs"], entries[" end. .svs"]) == ("b_", "plain", "end")
    assert len(entries[f"{long}.svs"]) < 200
    notes = source_notes([tmp_path])
    assert len(notes) == 5
    assert (
        f"{tmp_path}/a<1>.svs: its slide_id is 'a_1__2', since its name holds what a slide_id cannot" in notes
    )


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_name_that_is_no_text_is_passed_over(tmp_path: Path) -> None:
    touched(tmp_path, "ok.svs")
    (tmp_path / os.fsdecode(b"m\xfcller.svs")).write_bytes(b"x")
    assert names(tmp_path) == ["ok.svs"]
    assert source_notes([tmp_path]) == [
        f"{tmp_path}: 1 file (m?ller.svs) passed over: of a kind that is not read, or a name that is no text"
    ]


def test_names_are_found_however_their_letters_are_composed(tmp_path: Path) -> None:
    on_disk = unicodedata.normalize("NFD", "Präparate/Müller.svs")
    touched(tmp_path, on_disk)
    for form in ("NFC", "NFD"):
        table = unicodedata.normalize(form, "slide_id,path,patient_id\nMü,Präparate/Müller.svs,Ö\n")
        (tmp_path / "slides.csv").write_text(table, encoding="utf-8")
        (entry,) = read_slides(tmp_path / "slides.csv", DEFAULT_HEADS)
        assert entry.path.exists()
        assert (entry.slide_id, entry.patient_id) == ("Mü", "Ö")
        source = tmp_path / unicodedata.normalize(form, "Präparate/Müller.svs")
        assert read_slides(source, DEFAULT_HEADS)[0].slide_id == "Müller"
        assert read_slides(source.parent, DEFAULT_HEADS)[0].slide_id == "Müller"


def test_two_spellings_on_disk_are_not_guessed_between(tmp_path: Path) -> None:
    touched(tmp_path, "Ü.svs", unicodedata.normalize("NFD", "Ü.svs"))
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("the file system tells them not apart")
    with pytest.raises(ManifestError, match="expected unique slide_id"):
        read_slides(tmp_path, DEFAULT_HEADS)


def test_a_folder_of_one_dicom_series_is_a_slide_of_its_name(tmp_path: Path) -> None:
    slide = tmp_path / "case 1.2"
    for folder in (slide, tmp_path / "two series", tmp_path / "one file"):
        folder.mkdir()
    dicom(slide / "77.1.dcm", b"1.2.3", 3000)
    dicom(slide / "77.2.dcm", b"1.2.3", 2000)
    dicom(tmp_path / "two series" / "a.dcm", b"1.2.4", 3000)
    dicom(tmp_path / "two series" / "b.dcm", b"1.2.5", 3000)
    dicom(tmp_path / "one file" / "a.dcm", b"1.2.6", 3000)
    (tmp_path / "a.svs").write_bytes(b"slide")
    largest = slide / "77.1.dcm"
    found = read_slides(tmp_path, DEFAULT_HEADS)
    assert {entry.slide_id: entry.path for entry in found} == {"a": tmp_path / "a.svs", "case 1.2": largest}
    assert any(
        "2 subfolders (one file, two series) not searched" in note for note in source_notes([tmp_path])
    )
    for source in (slide, largest):
        assert [(entry.slide_id, entry.path) for entry in read_slides(source, DEFAULT_HEADS)] == [
            ("case 1.2", largest)
        ]
    (tmp_path / "slides.csv").write_text("slide_id,path\nx,case 1.2\n")
    assert [
        (entry.slide_id, entry.path) for entry in read_slides(tmp_path / "slides.csv", DEFAULT_HEADS)
    ] == [("x", largest)]
