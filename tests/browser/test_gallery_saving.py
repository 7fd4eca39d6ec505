"""Saving verdicts.csv in the gallery, and loading it again."""

import csv
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.verdicts.csv_cells import plain_text

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WritePage = Callable[..., Path]
MakeReview = Callable[..., SlideReview]


def save_verdicts(page: "Page", path: Path) -> Path:
    """Press the button, and keep the file at ``path``."""
    with page.expect_download() as download:
        page.click("#save")
    path.write_bytes(Path(download.value.path()).read_bytes())
    return path


def test_saved_rows_hold_region_verdict_reader_time_and_what_was_shown(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    name = "=cmd|\"x\",'S1'"
    offline_page.goto(write_page(make_review(name, 3)).as_uri())
    offline_page.click("#save")
    assert "reader name" in offline_page.locator("#status").inner_text()
    seen.name_reader(offline_page, "dr-a")
    for key in "ml":
        offline_page.keyboard.press(key)
    offline_page.keyboard.press("n")
    offline_page.locator("#note").fill('@note, with "quotes"\nand lines')
    offline_page.keyboard.press("Escape")
    rows = seen.verdicts(offline_page)
    assert [(row["head"], row["verdict"]) for row in rows] == [
        ("malignancy", "malignant"),
        ("morphology", "large_cell"),
        ("", ""),
    ]
    for row in rows:
        assert row["slide_id"].startswith("'=")
        assert plain_text(row["slide_id"]) == name
        assert (row["reader"], row["shown"], row["model_sha256"]) == ("dr-a", "scores", "ab" * 32)
        assert (row["order_seed"], row["schema"]) == ("", "inkdot.verdicts/3")
        assert time.strptime(row["time"][:19], "%Y-%m-%dT%H:%M:%S")
    assert rows[0]["geometry"] == "POLYGON ((0 0, 256 0, 256 256, 0 256, 0 0))"
    assert rows[2]["geometry"] == "POLYGON ((300 0, 556 0, 556 256, 300 256, 300 0))"
    assert (rows[0]["rank"], rows[0]["score"]) == ("1", "0.99")
    assert plain_text(rows[2]["note"]) == '@note, with "quotes"\nand lines'


def test_saved_verdicts_load_on_another_computer(
    offline_page: "Page",
    write_page: WritePage,
    make_review: MakeReview,
    tmp_path: Path,
    seen: SimpleNamespace,
) -> None:
    address = write_page(make_review('=S1, "x"', 5)).as_uri()
    offline_page.goto(address)
    seen.name_reader(offline_page, "dr-a")
    for key in "mlb":
        offline_page.keyboard.press(key)
    offline_page.keyboard.press("n")
    offline_page.locator("#note").fill('@note, with "quotes"\nand lines')
    offline_page.keyboard.press("Escape")
    saved = save_verdicts(offline_page, tmp_path / "verdicts.csv")
    text = saved.read_text(encoding="utf-8")
    # Another reader's verdict, and one about a region that this page does not show.
    last = text.splitlines()[1]
    text += last.replace("dr-a", "dr-b") + "\n" + last.replace("POLYGON ((0 0", "POLYGON ((7 7") + "\n"
    # Spreadsheets end lines their own way, and leave those within a cell alone.
    saved.write_bytes(re.sub(r"(schema|verdicts/3)\n", r"\1\r\n", text).encode("utf-8"))
    offline_page.evaluate("() => localStorage.clear()")
    offline_page.goto("about:blank")
    offline_page.goto(address)
    offline_page.set_input_files("#load-file", saved)
    offline_page.wait_for_function("() => document.getElementById('status').textContent !== ''")
    assert "several" in offline_page.locator("#status").inner_text()
    seen.name_reader(offline_page, "dr-a")
    offline_page.set_input_files("#load-file", saved)
    offline_page.wait_for_selector('.card[data-rank="3"] .note')
    assert offline_page.locator("#status").inner_text() == (
        "Verdicts on 3 regions loaded. Ignored: 1 line of another reader, 1 line on regions that are not on this page."
    )
    assert [seen.pressed(offline_page, rank) for rank in (1, 2, 3)] == [
        ["malignant", "large_cell"],
        ["benign"],
        [],
    ]
    assert offline_page.locator(".card .note").inner_text() == '@note, with "quotes"\nand lines'
    offline_page.keyboard.press("z")
    offline_page.keyboard.press("z")
    assert seen.reviewed(offline_page) == "1 of 5 regions reviewed"


def test_a_later_verdict_stays_and_another_table_is_refused(
    offline_page: "Page",
    write_page: WritePage,
    make_review: MakeReview,
    tmp_path: Path,
    seen: SimpleNamespace,
) -> None:
    offline_page.goto(write_page(make_review("S1", 3)).as_uri())
    seen.name_reader(offline_page, "dr-a")
    offline_page.keyboard.press("m")
    offline_page.keyboard.press("s")
    saved = save_verdicts(offline_page, tmp_path / "verdicts.csv")
    offline_page.keyboard.press("Home")
    offline_page.keyboard.press("b")
    offline_page.set_input_files("#load-file", saved)
    offline_page.wait_for_function("() => document.getElementById('status').textContent.includes('loaded')")
    assert seen.pressed(offline_page, 1) == ["benign"]
    other = tmp_path / "labels.csv"
    other.write_text("slide_id,geometry\nS1,x\n", encoding="utf-8")
    offline_page.set_input_files("#load-file", other)
    offline_page.wait_for_function(
        "() => document.getElementById('status').textContent.includes('not a verdicts.csv')"
    )


def test_verdicts_on_another_export_of_the_slides_are_named_and_can_be_loaded(
    offline_page: "Page",
    write_page: WritePage,
    make_review: MakeReview,
    tmp_path: Path,
    seen: SimpleNamespace,
) -> None:
    """Slides tiled again make another page; one of another model shows other regions."""
    review = make_review("S1", 4)
    address = write_page(review).as_uri()
    offline_page.goto(address)
    seen.name_reader(offline_page, "dr-a")
    alert = offline_page.locator("#alert")
    for key in "bb":
        offline_page.keyboard.press(key)
    saved = save_verdicts(offline_page, tmp_path / "verdicts.csv")
    offline_page.reload()
    assert alert.is_hidden()
    tiled_again = replace(review, facts=replace(review.facts, tiles_sha256="ef" * 32))
    other_model = replace(review, facts=replace(review.facts, model_sha256="12" * 32))
    for other, loaded in (
        (other_model, "Verdicts on 0 regions loaded. Ignored: 2 lines on another model's regions."),
        (tiled_again, "Verdicts on 2 regions loaded."),
    ):
        write_page(other)
        offline_page.reload()
        assert "your verdicts on 2 regions of these slides from another export" in alert.inner_text()
        offline_page.set_input_files("#load-file", saved)
        offline_page.wait_for_function(
            "(text) => document.getElementById('status').textContent === text", arg=loaded
        )
    offline_page.reload()
    assert alert.is_hidden()
    for other, seed in ((make_review("S2", 4), None), (review, 3)):  # of other slides, or blinded
        write_page(other, blinded_seed=seed)
        offline_page.reload()
        assert alert.is_hidden()


def test_the_save_button_marks_unsaved_verdicts(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    address = write_page(make_review("S1", 4)).as_uri()
    offline_page.goto(address)
    seen.name_reader(offline_page, "dr-a")
    unsaved = offline_page.locator("#save.unsaved")
    assert unsaved.count() == 0
    offline_page.keyboard.press("b")
    assert unsaved.count() == 1
    seen.verdicts(offline_page)
    assert unsaved.count() == 0
    offline_page.reload()
    assert unsaved.count() == 0
    offline_page.keyboard.press("u")
    assert unsaved.count() == 1


def test_a_table_saved_by_a_spreadsheet_loads(
    offline_page: "Page",
    write_page: WritePage,
    make_review: MakeReview,
    seen: SimpleNamespace,
    tmp_path: Path,
) -> None:
    page = write_page(make_review("S1", 4)).as_uri()
    offline_page.goto(page)
    seen.name_reader(offline_page, "dr-a")
    offline_page.keyboard.press("b")
    rows = [*seen.verdicts(offline_page)]
    edited = (
        tmp_path / "edited.csv"
    )  # as a German Excel does: semicolons, a byte order mark, CRLF and empty rows
    with edited.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows([*rows, dict.fromkeys(rows[0], "")])
    offline_page.evaluate("localStorage.clear()")
    offline_page.reload()
    offline_page.set_input_files("#load-file", edited)
    offline_page.wait_for_function("() => document.getElementById('status').textContent !== ''")
    assert offline_page.locator("#status").inner_text() == "Verdicts on 1 region loaded."
    assert seen.pressed(offline_page, 1) == ["benign"]


def test_a_table_with_times_changed_by_a_spreadsheet_is_refused(
    offline_page: "Page",
    write_page: WritePage,
    make_review: MakeReview,
    seen: SimpleNamespace,
    tmp_path: Path,
) -> None:
    offline_page.goto(write_page(make_review("S1", 4)).as_uri())
    seen.name_reader(offline_page, "dr-a")
    offline_page.keyboard.press("b")
    (row,) = seen.verdicts(offline_page)
    edited = tmp_path / "edited.csv"
    with edited.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row | {"verdict": "malignant", "time": "31.12.2099 10:00"})
    offline_page.set_input_files("#load-file", edited)
    offline_page.wait_for_function(
        "() => document.getElementById('status').textContent.includes('31.12.2099')"
    )
    assert seen.pressed(offline_page, 1) == ["benign"]


def test_verdicts_that_the_last_version_stored_in_the_browser_are_taken_over(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    address = write_page(make_review("S1", 4)).as_uri()
    offline_page.goto(address)
    given_at = "2026-01-31T09:30:00.000Z"
    answers = {
        "malignancy": {"answer": "malignant", "time": given_at},
        "morphology": {"answer": "small_cell", "time": given_at},
    }
    stored = [
        ("dr-a", '["S1",0,0]', {"answers": answers, "note": None}),
        ("dr-a", '["S1",300,0]', {"answers": {}, "note": {"text": "at the edge", "time": given_at}}),
        (
            "",
            '["S1",600,0]',
            {"answers": {"malignancy": {"answer": "benign", "time": given_at}}, "note": None},
        ),
    ]
    offline_page.evaluate(
        """(stored) => { for (const [reader, key, entry] of stored)
        localStorage.setItem(`inkdot/1/${Inkdot.facts.review_id}/${reader}/${key}`, JSON.stringify(entry)); }""",
        stored,
    )
    offline_page.goto("about:blank")
    offline_page.goto(address)
    assert seen.pressed(offline_page, 3) == ["benign"]  # before a name was entered
    seen.name_reader(offline_page, "dr-a")
    assert seen.pressed(offline_page, 1) == ["malignant", "small_cell"]
    assert offline_page.locator(".card .note").inner_text() == "at the edge"
    assert offline_page.locator("#save.unsaved").count() == 1
    rows = seen.verdicts(offline_page)
    assert [(row["rank"], row["head"], row["verdict"], row["note"]) for row in rows] == [
        ("1", "malignancy", "malignant", ""),
        ("1", "morphology", "small_cell", ""),
        ("2", "", "", "at the edge"),
    ]
    assert {row["time"] for row in rows} == {given_at}
    offline_page.keyboard.press("b")  # a change of it is stored as well
    offline_page.reload()
    assert seen.pressed(offline_page, 1) == ["benign"]


def test_a_table_saved_by_the_last_version_loads(
    offline_page: "Page",
    write_page: WritePage,
    make_review: MakeReview,
    seen: SimpleNamespace,
    tmp_path: Path,
) -> None:
    offline_page.goto(write_page(make_review("S1", 4)).as_uri())
    seen.name_reader(offline_page, "dr-a")
    offline_page.keyboard.press("m")
    offline_page.keyboard.press("l")
    offline_page.keyboard.press("n")
    offline_page.locator("#note").fill("small")
    offline_page.keyboard.press("Escape")
    rows = seen.verdicts(offline_page)
    earlier = {"geometry": "place", "verdict": "answer"}
    saved = tmp_path / "verdicts.csv"
    with saved.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [earlier.get(name, name) for name in rows[0]])
        writer.writeheader()
        for row in rows:
            cells = {earlier.get(name, name): cell for name, cell in row.items()}
            writer.writerow(cells | {"schema": "inkdot.verdicts/1"})
    offline_page.evaluate("localStorage.clear()")
    offline_page.reload()
    offline_page.set_input_files("#load-file", saved)
    offline_page.wait_for_selector(".card .note")
    assert seen.pressed(offline_page, 1) == ["malignant", "large_cell"]
    assert seen.verdicts(offline_page) == rows
