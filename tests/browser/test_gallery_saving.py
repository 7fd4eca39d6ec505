"""The table that the gallery saves, and verdicts brought back from it."""

import csv
import re
import time
from collections.abc import Callable
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


def test_verdicts_tell_region_verdict_reader_time_and_what_was_shown(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    name = "=cmd|\"x\",'S1'"
    offline_page.goto(write_page(make_review(name, 3)).as_uri())
    offline_page.click("#save")
    assert "reader name" in offline_page.locator("#said").inner_text()
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
        assert (row["order_seed"], row["schema"]) == ("", "inkdot.verdicts/1")
        assert time.strptime(row["time"][:19], "%Y-%m-%dT%H:%M:%S")
    assert rows[0]["region"] == "POLYGON ((0 0, 256 0, 256 256, 0 256, 0 0))"
    assert rows[2]["region"] == "POLYGON ((300 0, 556 0, 556 256, 300 256, 300 0))"
    assert (rows[0]["rank"], rows[0]["score"]) == ("1", "0.99")
    assert plain_text(rows[2]["note"]) == '@note, with "quotes"\nand lines'


def test_saved_verdicts_come_back_on_another_computer(
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
    with offline_page.expect_download() as download:
        offline_page.click("#save")
    saved = tmp_path / "verdicts.csv"
    text = Path(download.value.path()).read_text(encoding="utf-8")
    # Another reader's verdict, and one about a region that this page does not show.
    last = text.splitlines()[1]
    text += last.replace("dr-a", "dr-b") + "\n" + last.replace("POLYGON ((0 0", "POLYGON ((7 7") + "\n"
    # Spreadsheets end lines their own way, and leave those within a cell alone.
    saved.write_bytes(re.sub(r"(schema|verdicts/1)\n", r"\1\r\n", text).encode("utf-8"))
    offline_page.evaluate("() => localStorage.clear()")
    offline_page.goto("about:blank")
    offline_page.goto(address)
    offline_page.set_input_files("#load-file", saved)
    offline_page.wait_for_function("() => document.getElementById('said').textContent !== ''")
    assert "several" in offline_page.locator("#said").inner_text()
    seen.name_reader(offline_page, "dr-a")
    offline_page.set_input_files("#load-file", saved)
    offline_page.wait_for_selector('.card[data-rank="3"] .note')
    assert offline_page.locator("#said").inner_text() == (
        "3 regions brought back. 2 lines of other readers, regions or models left out."
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
    with offline_page.expect_download() as download:
        offline_page.click("#save")
    saved = tmp_path / "verdicts.csv"
    saved.write_bytes(Path(download.value.path()).read_bytes())
    offline_page.keyboard.press("Home")
    offline_page.keyboard.press("b")
    offline_page.set_input_files("#load-file", saved)
    offline_page.wait_for_function("() => document.getElementById('said').textContent.includes('brought')")
    assert seen.pressed(offline_page, 1) == ["benign"]
    other = tmp_path / "labels.csv"
    other.write_text("slide_id,geometry\nS1,x\n", encoding="utf-8")
    offline_page.set_input_files("#load-file", other)
    offline_page.wait_for_function(
        "() => document.getElementById('said').textContent.includes('no verdicts.csv')"
    )


def test_a_page_says_when_verdicts_are_not_saved_yet(
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


def test_a_table_that_a_spreadsheet_saved_comes_back(
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
    offline_page.wait_for_function("() => document.getElementById('said').textContent !== ''")
    assert offline_page.locator("#said").inner_text() == "1 region brought back."
    assert seen.pressed(offline_page, 1) == ["benign"]


def test_a_table_whose_times_a_spreadsheet_rewrote_is_refused(
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
    offline_page.wait_for_function("() => document.getElementById('said').textContent.includes('31.12.2099')")
    assert seen.pressed(offline_page, 1) == ["benign"]
