"""Answering in the gallery: by key and click, undone, kept between visits, for each reader apart."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from inkdot.review.slide_review import SlideReview

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WritePage = Callable[..., Path]
MakeReview = Callable[..., SlideReview]


def test_one_key_answers_and_the_next_place_follows(
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
    assert seen.answered(offline_page) == "2 of 8 places answered"


def test_morphology_is_asked_only_where_malignant(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 3)).as_uri())
    offline_page.keyboard.press("s")
    assert seen.pressed(offline_page, 1) == []
    assert "only where malignancy is answered malignant" in offline_page.locator("#said").inner_text()
    offline_page.keyboard.press("m")
    offline_page.keyboard.press("l")
    offline_page.keyboard.press("ArrowLeft")
    offline_page.keyboard.press("a")  # a change of mind takes the morphology with it
    assert seen.pressed(offline_page, 1) == ["atypical"]


def test_a_click_answers_the_card_it_is_on(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 8)).as_uri())
    offline_page.click('.card[data-rank="5"] [data-answer="unsure"]')
    assert seen.pressed(offline_page, 5) == ["unsure"]
    assert seen.answered(offline_page) == "1 of 8 places answered"
    offline_page.click('.card[data-rank="2"] .open')
    assert offline_page.locator("#context-title").inner_text() == "Place 2"


def test_undo_takes_back_step_by_step_across_slides(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 3), make_review("S2", 3)).as_uri())
    offline_page.keyboard.press("m")
    offline_page.keyboard.press("x")
    offline_page.keyboard.press("]")
    offline_page.keyboard.press("u")
    assert seen.answered(offline_page) == "2 of 6 places answered"
    offline_page.keyboard.press("z")
    assert (offline_page.locator("h1").inner_text(), seen.answered(offline_page)) == (
        "S2",
        "1 of 6 places answered",
    )
    offline_page.keyboard.press("z")
    assert (offline_page.locator("h1").inner_text(), seen.pressed(offline_page, 1)) == ("S1", ["malignant"])
    offline_page.keyboard.press("z")
    assert seen.answered(offline_page) == "0 of 6 places answered"
    assert offline_page.locator("#undo").is_disabled()
    offline_page.keyboard.press("z")
    assert offline_page.locator("#said").inner_text() == "Nothing to undo."


def test_answers_and_notes_are_still_there_after_a_visit(
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


def test_readers_do_not_see_each_other_s_answers(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 4)).as_uri())
    offline_page.keyboard.press("b")  # before a name was given: goes to the first one
    seen.name_reader(offline_page, "dr-a")
    assert seen.answered(offline_page) == "1 of 4 places answered"
    seen.name_reader(offline_page, "dr-b")
    assert seen.answered(offline_page) == "0 of 4 places answered"
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
    slow_click(offline_page, '.card[data-rank="3"] [data-answer="benign"]')
    assert seen.pressed(offline_page, 3) == ["benign"]
    offline_page.keyboard.press("n")
    offline_page.keyboard.type("small")
    slow_click(offline_page, '#context [data-answer="atypical"]')
    assert seen.pressed(offline_page, 4) == ["atypical"]
    offline_page.keyboard.press("n")
    offline_page.keyboard.type(" and dark")
    slow_click(offline_page, '#context [data-step="-1"]')
    assert offline_page.locator("#context-title").inner_text() == "Place 3"
    assert offline_page.locator('.card[data-rank="4"] .note').inner_text() == "small and dark"


def test_keys_still_answer_after_a_slider_or_a_list_was_used(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 4)).as_uri())
    offline_page.keyboard.press("Enter")
    offline_page.locator('[data-view="contrast"]').click()
    offline_page.keyboard.press("ArrowRight")  # the slider's own
    assert offline_page.locator("#context-title").inner_text() == "Place 1"
    offline_page.keyboard.press("b")
    assert seen.pressed(offline_page, 1) == ["benign"]
    offline_page.keyboard.press("Escape")
    offline_page.locator(".check input").click()
    offline_page.keyboard.press("u")
    assert seen.pressed(offline_page, 2) == ["unsure"]
