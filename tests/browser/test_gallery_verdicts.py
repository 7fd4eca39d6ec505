"""Verdicts in the gallery: by key and click, undone, stored between visits, separately for each reader."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from inkdot.review.gallery.slide_review import SlideReview

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WritePage = Callable[..., Path]
MakeReview = Callable[..., SlideReview]


def test_one_key_gives_a_verdict_and_the_next_region_follows(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 8)).as_uri())
    for key in "bms":  # benign; malignant, which asks for morphology; small cell
        offline_page.keyboard.press(key)
    assert (seen.pressed(offline_page, 1), seen.pressed(offline_page, 2)) == (
        ["benign"],
        ["malignant", "small_cell"],
    )
    assert seen.current_rank(offline_page) == "3"
    assert seen.reviewed(offline_page) == "2 of 8 regions reviewed"


def test_morphology_is_asked_only_where_malignant(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 3)).as_uri())
    offline_page.keyboard.press("s")
    assert seen.pressed(offline_page, 1) == []
    assert "only where the verdict on malignancy is malignant" in offline_page.locator("#status").inner_text()
    offline_page.keyboard.press("m")
    offline_page.keyboard.press("l")
    offline_page.keyboard.press("ArrowLeft")
    offline_page.keyboard.press("a")  # a change of mind takes the morphology with it
    assert seen.pressed(offline_page, 1) == ["atypical"]


def test_not_a_cell_is_one_key_and_excludes_a_class(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 3)).as_uri())
    offline_page.keyboard.press("m")
    offline_page.keyboard.press("d")  # in place of malignant, and the next region follows
    assert (seen.pressed(offline_page, 1), seen.current_rank(offline_page)) == (["not_a_cell"], "2")
    offline_page.click('.card[data-rank="2"] [data-verdict="not_a_cell"]')
    offline_page.keyboard.press("Home")
    offline_page.keyboard.press("b")  # a class in place of it
    assert (seen.pressed(offline_page, 1), seen.pressed(offline_page, 2)) == (["benign"], ["not_a_cell"])
    assert seen.reviewed(offline_page) == "2 of 3 regions reviewed"
    for shown in (["not_a_cell"], ["not_a_cell"], ["malignant"]):
        offline_page.keyboard.press("z")
        assert seen.pressed(offline_page, 1) == shown
    offline_page.keyboard.press("Enter")
    offline_page.keyboard.press("d")
    offline_page.wait_for_function(
        "() => document.querySelector('#context-title').textContent === 'Region 2'"
    )
    offline_page.keyboard.press("ArrowLeft")
    pressed = offline_page.locator('#context .verdict[aria-pressed="true"]')
    assert pressed.all_inner_texts() == ["d\nnot a cell"]
    offline_page.keyboard.press("Escape")
    offline_page.keyboard.press("?")
    assert "nothing in the region is a nucleated cell" in offline_page.locator("#help").inner_text()


def test_not_a_cell_is_saved_and_of_two_tables_the_later_answer_counts(
    offline_page: "Page",
    write_page: WritePage,
    make_review: MakeReview,
    seen: SimpleNamespace,
    tmp_path: Path,
) -> None:
    offline_page.goto(write_page(make_review("S1", 3), blinded_seed=5).as_uri())
    seen.name_reader(offline_page, "dr-a")
    offline_page.click('.card[data-rank="1"] [data-verdict="malignant"]')
    offline_page.click('.card[data-rank="2"] [data-verdict="not_a_cell"]')
    offline_page.click("#save")
    early = seen.verdicts(offline_page)
    assert [(row["head"], row["verdict"], row["shown"]) for row in early] == [
        ("malignancy", "malignant", "blinded"),
        ("cell_finder", "not_a_cell", "blinded"),
    ]
    offline_page.click('.card[data-rank="1"] [data-verdict="not_a_cell"]')
    path = tmp_path / "verdicts.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(early[0]))
        writer.writeheader()
        writer.writerows(early)
    offline_page.set_input_files("#load-file", path)  # the older table does not bring malignant back
    offline_page.wait_for_function("() => document.querySelector('#status').textContent.includes('loaded')")
    assert seen.pressed(offline_page, 1) == ["not_a_cell"]
    later = [row | {"time": "2099-01-01T00:00:00.000Z"} for row in early[:1]]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(early[0]))
        writer.writeheader()
        writer.writerows(later)
    offline_page.set_input_files("#load-file", path)
    offline_page.wait_for_function("() => document.querySelector('#status').textContent.includes('1 region')")
    assert (seen.pressed(offline_page, 1), seen.pressed(offline_page, 2)) == (["malignant"], ["not_a_cell"])


def test_a_click_gives_a_verdict_on_its_card(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 8)).as_uri())
    offline_page.click('.card[data-rank="5"] [data-verdict="unsure"]')
    assert seen.pressed(offline_page, 5) == ["unsure"]
    assert seen.reviewed(offline_page) == "1 of 8 regions reviewed"
    offline_page.click('.card[data-rank="2"] .open')
    assert offline_page.locator("#context-title").inner_text() == "Region 2"


def test_undo_takes_back_step_by_step_across_slides(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 3), make_review("S2", 3)).as_uri())
    offline_page.keyboard.press("m")
    offline_page.keyboard.press("x")
    offline_page.keyboard.press("]")
    offline_page.keyboard.press("u")
    assert seen.reviewed(offline_page) == "2 of 6 regions reviewed"
    offline_page.keyboard.press("z")
    assert (offline_page.locator("h1").inner_text(), seen.reviewed(offline_page)) == (
        "S2",
        "1 of 6 regions reviewed",
    )
    offline_page.keyboard.press("z")
    assert (offline_page.locator("h1").inner_text(), seen.pressed(offline_page, 1)) == ("S1", ["malignant"])
    offline_page.keyboard.press("z")
    assert seen.reviewed(offline_page) == "0 of 6 regions reviewed"
    assert offline_page.locator("#undo").is_disabled()
    offline_page.keyboard.press("z")
    assert offline_page.locator("#status").inner_text() == "Nothing to undo."


def test_verdicts_and_notes_are_still_there_after_a_visit(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    address = write_page(make_review("S1", 3)).as_uri()
    offline_page.goto(address)
    seen.name_reader(offline_page, "dr-a")
    offline_page.keyboard.press("b")
    offline_page.keyboard.press("n")
    offline_page.locator("#note").fill("  cells at the edge  ")
    offline_page.keyboard.press("Escape")
    offline_page.goto("about:blank")
    offline_page.goto(address)
    assert offline_page.input_value("#reader") == "dr-a"
    assert seen.pressed(offline_page, 1) == ["benign"]
    assert offline_page.locator('.card[data-rank="2"] .note').inner_text() == "cells at the edge"


def test_readers_do_not_see_each_other_s_verdicts(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 4)).as_uri())
    offline_page.keyboard.press("b")  # before a name was given: goes to the first one
    seen.name_reader(offline_page, "dr-a")
    assert seen.reviewed(offline_page) == "1 of 4 regions reviewed"
    seen.name_reader(offline_page, "dr-b")
    assert seen.reviewed(offline_page) == "0 of 4 regions reviewed"
    offline_page.keyboard.press("m")
    assert [row["reader"] for row in seen.verdicts(offline_page)] == ["dr-b"]
    seen.name_reader(offline_page, "dr-a")
    assert seen.pressed(offline_page, 1) == ["benign"]


def slow_click(page: "Page", selector: str) -> None:
    """Press and let go as a hand does, so that whatever leaving a field redraws comes in between."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.wait_for_timeout(60)
    page.mouse.up()


def test_the_first_click_after_a_field_is_not_lost(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 4)).as_uri())
    offline_page.locator("#reader").click()
    offline_page.keyboard.type("dr-a")
    slow_click(offline_page, '.card[data-rank="3"] [data-verdict="benign"]')
    assert seen.pressed(offline_page, 3) == ["benign"]
    offline_page.keyboard.press("n")
    offline_page.keyboard.type("small")
    slow_click(offline_page, '#context [data-verdict="atypical"]')
    assert seen.pressed(offline_page, 4) == ["atypical"]
    offline_page.keyboard.press("n")
    offline_page.keyboard.type(" and dark")
    slow_click(offline_page, '#context [data-step="-1"]')
    assert offline_page.locator("#context-title").inner_text() == "Region 3"
    assert offline_page.locator('.card[data-rank="4"] .note').inner_text() == "small and dark"


def test_keys_work_after_a_slider_or_a_list_was_used(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 4)).as_uri())
    offline_page.keyboard.press("Enter")
    offline_page.locator('[data-view="contrast"]').click()
    offline_page.keyboard.press("ArrowRight")  # the slider's own
    assert offline_page.locator("#context-title").inner_text() == "Region 1"
    offline_page.keyboard.press("b")
    assert seen.pressed(offline_page, 1) == ["benign"]
    offline_page.keyboard.press("Escape")
    offline_page.locator(".check input").click()
    offline_page.keyboard.press("u")
    assert seen.pressed(offline_page, 2) == ["unsure"]


def test_buttons_do_not_move_when_one_is_pressed(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.set_viewport_size({"width": 1366, "height": 768})
    offline_page.goto(write_page(make_review("S1", 5)).as_uri())
    offline_page.keyboard.press("m")
    button = offline_page.locator('.card[data-rank="1"] [data-verdict="large_cell"]')
    before = button.bounding_box()
    offline_page.keyboard.press("s")
    assert button.bounding_box() == before


def hold(page: "Page", key: str) -> None:
    """Press a key long enough for the keyboard to repeat it."""
    for _ in range(5):
        page.keyboard.down(key)
    page.keyboard.up(key)


def test_a_held_key_gives_one_verdict_and_undoes_one_step(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 9)).as_uri())
    hold(offline_page, "b")
    assert seen.reviewed(offline_page) == "1 of 9 regions reviewed"
    hold(offline_page, "u")
    hold(offline_page, "z")
    assert seen.reviewed(offline_page) == "1 of 9 regions reviewed"
    hold(offline_page, "ArrowRight")  # walking goes on as long as it is held
    assert seen.current_rank(offline_page) == "7"
    hold(offline_page, "n")
    assert offline_page.locator("#note").input_value() == ""
    offline_page.keyboard.type("nn")
    assert offline_page.locator("#note").input_value() == "nn"


def test_invalid_entries_in_the_browser_s_storage_are_ignored(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 4)).as_uri())
    offline_page.keyboard.press("b")
    for left in ("{", "null", "5", '{"verdicts": null}'):
        offline_page.evaluate(
            "(left) => localStorage.setItem(Object.keys(localStorage).find((one) => one.endsWith(']')), left)",
            left,
        )
        offline_page.reload()
        assert seen.reviewed(offline_page) == "0 of 4 regions reviewed"


def test_enter_held_on_a_verdict_of_the_enlarged_view_counts_once(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 9)).as_uri())
    offline_page.keyboard.press("Enter")
    offline_page.locator('#context [data-verdict="benign"]').focus()
    hold(offline_page, "Enter")
    assert seen.reviewed(offline_page) == "1 of 9 regions reviewed"


def test_a_double_click_in_the_enlarged_view_counts_once(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 9)).as_uri())
    offline_page.keyboard.press("Enter")
    box = offline_page.locator('#context [data-verdict="benign"]').bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    offline_page.mouse.dblclick(*middle)
    assert seen.reviewed(offline_page) == "1 of 9 regions reviewed"
    offline_page.wait_for_timeout(600)  # who has looked at the next region may give a verdict on it
    offline_page.mouse.click(*middle)
    assert seen.reviewed(offline_page) == "2 of 9 regions reviewed"


def test_an_unfinished_note_survives_a_reload(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.goto(write_page(make_review("S1", 3)).as_uri())
    offline_page.keyboard.press("n")
    offline_page.keyboard.type("crush artefact?")
    offline_page.reload()
    assert offline_page.locator(".card .note").inner_text() == "crush artefact?"


def test_a_browser_without_storage_still_takes_and_saves_verdicts(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied'); } });"
    )
    offline_page.goto(write_page(make_review("S1", 9)).as_uri())
    seen.name_reader(offline_page, "dr-a")
    offline_page.uncheck(".check input")
    offline_page.locator('.card[data-rank="2"] [data-verdict="benign"]').click()
    assert seen.current_rank(offline_page) == "2"  # the next region was not requested
    assert "does not store data" in offline_page.locator("#alert").inner_text()
    assert offline_page.locator("#save.unsaved").count() == 1
    (row,) = seen.verdicts(offline_page)
    assert (row["rank"], row["verdict"]) == ("2", "benign")
    assert offline_page.locator("#save.unsaved").count() == 0
