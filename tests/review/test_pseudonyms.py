from pathlib import Path

import pytest

from inkdot.errors import StorageError
from inkdot.records import SlideEntry
from inkdot.review.gallery.gallery import GallerySettings, gallery_facts
from inkdot.review.gallery.page import page_text
from inkdot.review.gallery.pseudonyms import (
    find_identifiers,
    identifying_words,
    pseudonyms_text,
    read_pseudonyms,
    with_pseudonyms,
    without_names,
)
from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.gallery.worklist import worklist_text


def test_pseudonyms_are_created_once(tmp_path: Path) -> None:
    names = with_pseudonyms({}, ["=b", "a"])
    assert len(set(names.values())) == 2
    assert with_pseudonyms({}, ["a"]) != with_pseudonyms({}, ["a"])  # drawn, not computed from the name
    path = tmp_path / "pseudonyms.csv"
    path.write_text(pseudonyms_text(names), encoding="utf-8")
    assert read_pseudonyms(path) == names
    more = with_pseudonyms(names, ["a", "c"])
    assert {name: more[name] for name in names} == names
    assert set(more) == {"=b", "a", "c"}


def test_a_missing_table_holds_nothing_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pseudonyms.csv"
    assert read_pseudonyms(path) == {}
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(StorageError, match="damaged"):
        read_pseudonyms(path)


def test_slide_and_file_names_are_replaced_in_a_text() -> None:
    entry = SlideEntry("Doe 1", Path("scans/Doe_Jane_1.svs"))
    text = without_names("Doe_Jane_1.svs: Doe 1 cannot be read (Doe_Jane_1)", entry, "slide-7")
    assert text == "slide-7: slide-7 cannot be read (slide-7)"


def test_identifying_words_are_names_of_slides_files_patients_and_specimens() -> None:
    entry = SlideEntry("S1", Path("Doe_Jane.svs"), patient_id="P-0042", specimen_id="abc")
    assert identifying_words([entry]) == {"Doe_Jane", "P-0042"}


@pytest.mark.parametrize(
    ("text", "word", "told"),
    [
        ("Doe_1", "doe", True),
        ("scans/JaneDoe.svs", "Doe", True),
        ("it does not", "Doe", False),
        ("benign", "Ben", False),
        ("x 1428", "42", False),
        ("P-42-b", "42", True),
        ("thejanedoeslide", "JaneDoe", True),
    ],
)
def test_short_words_are_found_where_they_stand_alone(
    tmp_path: Path, text: str, word: str, told: bool
) -> None:
    (tmp_path / "worklist.csv").write_text(text, encoding="utf-8")
    assert bool(find_identifiers(tmp_path, [word])) == told


def test_fixed_sentences_of_the_page_are_not_searched(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page_text(gallery_facts([], GallerySettings())), encoding="utf-8")
    (tmp_path / "worklist.csv").write_text(
        worklist_text([SlideReview("S", "flagged", None)]), encoding="utf-8"
    )
    assert find_identifiers(tmp_path, ["document", "function", "glass", "Not", "does"]) == []


def test_identifiers_are_found_in_names_and_texts_whatever_their_case(tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "doe.jpg").write_bytes(b"JANE")  # the name tells; pixels are not searched
    (tmp_path / "index.html").write_text("… jane …", encoding="utf-8")
    assert find_identifiers(tmp_path, ["Jane", "Doe", "", "Smith"]) == [
        ("index.html", "Jane"),
        ("tiles/doe.jpg", "Doe"),
    ]


@pytest.mark.parametrize("name", ["../../.ssh/authorized", "/tmp/x", "a/b", "..", "", "a\\b", "C:x"])  # noqa: S108
def test_a_planted_pseudonym_becomes_no_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / "pseudonyms.csv"
    path.write_text(f"slide_id,pseudonym\na,{name}\n", encoding="utf-8")
    with pytest.raises(StorageError, match="expected pseudonyms such as"):
        read_pseudonyms(path)
