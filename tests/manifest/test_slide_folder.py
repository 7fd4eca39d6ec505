"""Folders of slides, where one slide may be several files."""

import os
import sys
import unicodedata
from pathlib import Path

import pytest

from inkdot.errors import ManifestError
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import read_slides, slide_folder, source_notes
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
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_what_is_passed_over_is_named(tmp_path: Path) -> None:
    touched(
        tmp_path,
        "ok.svs",
        "b.vsi",
        "c.isyntax",
        "more/d.bmp",
        "ok.geojson",
        "notes.TXT",
        "more.txt",
        "report.pdf",
        "export.json",
        ".hidden.vsi",
    )
    touched(tmp_path, "m.mrxs", "m/Index.dat", ".git/f.svs", "batch 2/g.svs")
    (tmp_path / "batch 2/slides.csv").write_text("slide_id,path\ng,g.svs\n")
    assert source_notes([tmp_path, tmp_path / "ok.svs"]) == [
        f"{tmp_path}: 3 files (b.vsi, c.isyntax, d.bmp) passed over: of a kind that is not read, or a name that is no text",
        f"{tmp_path}: files beside the slides not read: 2 .txt, 1 .geojson, 1 .json, 1 .pdf",
        f"{tmp_path}: 1 subfolder (batch 2) with a slides.csv of their own: name these tables to use what they say",
    ]


def test_a_folder_without_slides_names_what_it_holds(tmp_path: Path) -> None:
    touched(tmp_path, "a.vsi", "old run/ledger.jsonl", "old run/overview/a.jpg")
    with pytest.raises(
        ManifestError,
        match=r"found none; .*1 file \(a\.vsi\) .*; 1 subfolder \(old run\) not searched: written by Inkdot",
    ):
        read_slides(tmp_path, DEFAULT_HEADS)


def ids(folder: Path) -> dict[str, str]:
    found = read_slides(folder, DEFAULT_HEADS)
    return {entry.slide_id: entry.path.relative_to(folder).as_posix() for entry in found}


def test_subfolders_are_searched_without_companions_hidden_ones_and_results(tmp_path: Path) -> None:
    touched(tmp_path, "a.svs", "2024/b.svs", "2024/m.mrxs", "2024/m/Data0000.dat", "2024/m/label.jpg")
    touched(tmp_path, ".cache/c.svs", "results/ledger.jsonl", "results/overview/a.jpg")
    touched(tmp_path, "review/index.html", "review/tiles/0123.jpg", "model/model.json", "model/plot.png")
    touched(
        tmp_path, "study/project.qpproj", "study/data/1/thumbnail.jpg", "study/d.svs", "deep/er/still/e.ndpi"
    )
    assert ids(tmp_path) == {
        "a": "a.svs",
        "b": "2024/b.svs",
        "d": "study/d.svs",
        "e": "deep/er/still/e.ndpi",
        "m": "2024/m.mrxs",
    }
    assert [note for note in source_notes([tmp_path]) if "not searched" in note] == [
        f"{tmp_path}: 4 subfolders (model, results, review, data) not searched: written by Inkdot or QuPath"
    ]


def test_one_name_in_two_subfolders_is_two_slides(tmp_path: Path) -> None:
    touched(tmp_path, "slide.svs", "case 1/slide.svs", "case 1/deep/SLIDE.svs", "case 2/other.svs")
    assert ids(tmp_path) == {
        "case 1_deep_SLIDE": "case 1/deep/SLIDE.svs",
        "case 1_slide": "case 1/slide.svs",
        "other": "case 2/other.svs",
        "slide": "slide.svs",
    }
    (note,) = source_notes([tmp_path])
    assert "2 slides have names that are in several subfolders" in note


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_in_a_circle_and_to_listed_slides_end(tmp_path: Path) -> None:
    touched(tmp_path, "a/one.svs", "b/two.svs")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "a").symlink_to(tmp_path / "a")
    (tmp_path / "0-link.svs").symlink_to(tmp_path / "b" / "two.svs")
    assert set(ids(tmp_path)) == {"one", "two"}
    assert source_notes([tmp_path]) == [
        f"{tmp_path}: 1 link (0-link.svs) passed over: the slide is listed already"
    ]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="such rights bind no one there")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    touched(tmp_path, "a.svs", "closed/b.svs")
    (tmp_path / "closed").chmod(0)
    try:
        assert names(tmp_path) == ["a.svs"]
        assert source_notes([tmp_path]) == [
            f"{tmp_path}: 1 subfolder (closed) not searched: cannot be listed"
        ]
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_whole_disk_named_by_mistake_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slide_folder, "MOST_FOLDERS", 3)
    touched(tmp_path, "1/a.svs", "2/a.svs")
    assert len(slide_files(tmp_path)) == 2
    touched(tmp_path, "3/a.svs")
    with pytest.raises(ManifestError, match="at most 3 subfolders to search, found more; name the folder"):
        read_slides(tmp_path, DEFAULT_HEADS)


def test_a_slides_csv_in_the_folder_is_used(tmp_path: Path) -> None:
    touched(tmp_path, "a.svs", "b.svs", "more/c.svs")
    (tmp_path / "slides.csv").write_text("slide_id,path,mpp,malignancy\nfirst,a.svs,0.5,malignant\n")
    (entry,) = read_slides(tmp_path, DEFAULT_HEADS)
    assert (entry.slide_id, entry.mpp and entry.mpp.x) == ("first", 0.5)
    assert source_notes([tmp_path]) == [
        f"{tmp_path}: its slides.csv is used; 2 slides (b.svs, c.svs) not listed in it: add a row for each that should be read"
    ]
    (tmp_path / "slides.csv").write_text("slide_id,path\na,a.svs\nb,b.svs\nc,more/c.svs\n")
    assert source_notes([tmp_path]) == [f"{tmp_path}: its slides.csv is used"]


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
    assert {entry.slide_id: entry.path for entry in found} == {
        "a": tmp_path / "a.svs",
        "b": tmp_path / "two series" / "b.dcm",
        "case 1.2": largest,
        "one file_a": tmp_path / "one file" / "a.dcm",
        "two series_a": tmp_path / "two series" / "a.dcm",
    }
    for source in (slide, largest):
        assert [(entry.slide_id, entry.path) for entry in read_slides(source, DEFAULT_HEADS)] == [
            ("case 1.2", largest)
        ]
    (tmp_path / "slides.csv").write_text("slide_id,path\nx,case 1.2\n")
    assert [
        (entry.slide_id, entry.path) for entry in read_slides(tmp_path / "slides.csv", DEFAULT_HEADS)
    ] == [("x", largest)]
