"""The reader's answer for a slide as a whole, and regions marked as missed, in the exported page."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import shapely

from inkdot.labels import DEFAULT_HEADS
from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.verdicts.answers import Answers, read_answers

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SIDE_UM = 64.0  # of the tiles of the page: 256 px of 0.25 µm
SLIDE_L0_PX = 30_000


@pytest.fixture
def opened(
    offline_page: "Page",
    write_page: Callable[..., Path],
    make_review: Callable[..., SlideReview],
    seen: SimpleNamespace,
) -> "Page":
    """A page of two slides, at the first one, with a named reader."""
    offline_page.goto(write_page(make_review("S1", 6), make_review("S2", 3)).as_uri())
    seen.name_reader(offline_page, "dr-a")
    return offline_page


def saved(page: "Page") -> tuple[Path, Answers]:
    with page.expect_download() as download:
        page.click("#save")
    path = Path(download.value.path())
    return path, read_answers([path], DEFAULT_HEADS)


def pressed(page: "Page") -> list[str]:
    return page.locator('#slide-answer [aria-pressed="true"]').evaluate_all(
        "(buttons) => buttons.map((button) => button.dataset.verdict)"
    )


def answer(page: "Page", verdict: str) -> None:
    page.click(f'#slide-answer [data-verdict="{verdict}"]')


def mark(page: "Page", *places: tuple[float, float]) -> None:
    """Click a place of the enlarged overview, or draw through several; places are fractions of the picture."""
    box = page.locator(".marking-frame").bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def test_a_slide_is_answered_with_buttons_and_keys_and_the_answer_is_saved(opened: "Page") -> None:
    answer(opened, "adequate")
    opened.keyboard.press("w")
    opened.keyboard.press("3")
    assert pressed(opened) == ["adequate", "suspicious"]
    opened.click(".slide-note-open")
    opened.fill("#slide-note", "=thick, bloody")
    opened.locator("#slide-note").blur()
    _, answers = saved(opened)
    (slide,) = answers.slides
    assert (slide.slide_id, slide.reader, slide.adequate) == ("S1", "dr-a", True)
    assert (slide.category, slide.means, slide.note) == ("suspicious", "suspicious", "=thick, bloody")
    assert answers.regions == ()  # no key reached a region
    assert opened.locator("#slides .slide-said").inner_text() == "suspicious, adequate"


def test_an_inadequate_slide_is_not_negative_and_the_same_button_takes_an_answer_back(opened: "Page") -> None:
    answer(opened, "negative")
    answer(opened, "inadequate")
    assert pressed(opened) == ["inadequate"]
    answer(opened, "negative")
    assert pressed(opened) == ["negative"]
    answer(opened, "negative")
    assert pressed(opened) == []
    answer(opened, "malignant")
    answer(opened, "inadequate")
    assert pressed(opened) == ["inadequate", "malignant"]


def test_undo_goes_back_to_the_slide_that_was_answered(opened: "Page") -> None:
    answer(opened, "atypical")
    opened.keyboard.press("]")
    assert pressed(opened) == []
    opened.keyboard.press("z")
    assert opened.locator("h1").inner_text() == "S1"
    assert pressed(opened) == []
    assert "Undone: your answer for the slide" in opened.locator("#status").inner_text()


def test_answers_of_each_reader_are_kept_apart_and_come_back(opened: "Page", seen: SimpleNamespace) -> None:
    answer(opened, "atypical")
    seen.name_reader(opened, "dr-b")
    assert pressed(opened) == []
    seen.name_reader(opened, "dr-a")
    assert pressed(opened) == ["atypical"]
    opened.reload()
    assert pressed(opened) == ["atypical"]


def test_a_click_on_the_overview_marks_a_place_one_tile_wide(opened: "Page") -> None:
    opened.click(".mark-missed")
    mark(opened, (0.25, 0.75))
    opened.fill(".missed-note", "behind the fold")
    opened.keyboard.press("Tab")
    opened.click('.missed-question [data-digit="1"]')
    _, answers = saved_after_close(opened)
    (missed,) = answers.missed
    assert (missed.verdict, missed.note, missed.reader) == ("malignant", "behind the fold", "dr-a")
    x, y = missed.geometry.centroid.coords[0]
    assert x == pytest.approx(0.25 * SLIDE_L0_PX, abs=60)  # one pixel of the screen is about 40
    assert y == pytest.approx(0.75 * SLIDE_L0_PX, abs=60)
    left, _, right, _ = missed.geometry.bounds
    assert (right - left) * 0.25 == pytest.approx(SIDE_UM, abs=0.5)
    assert opened.locator("#overview .missed-spot").count() == 1


def test_an_outline_is_drawn_and_one_that_crosses_itself_is_still_a_polygon(opened: "Page") -> None:
    opened.keyboard.press("k")
    mark(opened, (0.2, 0.2), (0.4, 0.2), (0.4, 0.4), (0.2, 0.4), (0.2, 0.21))
    opened.keyboard.press("2")
    mark(opened, (0.6, 0.6), (0.8, 0.8), (0.8, 0.6), (0.6, 0.8))
    opened.keyboard.press("3")
    _, answers = saved_after_close(opened)
    shapes = {missed.verdict: missed.geometry for missed in answers.missed}
    assert set(shapes) == {"other", "look_again"}
    square = shapely.box(0.2 * SLIDE_L0_PX, 0.2 * SLIDE_L0_PX, 0.4 * SLIDE_L0_PX, 0.4 * SLIDE_L0_PX)
    drawn = shapes["other"]
    assert drawn.intersection(square).area / drawn.union(square).area > 0.97
    assert shapes["look_again"].is_valid
    assert answers.regions == ()  # digits and letters of the dialog are its own


def test_a_mark_is_taken_back_and_undone(opened: "Page") -> None:
    opened.click(".mark-missed")
    mark(opened, (0.5, 0.5))
    opened.keyboard.press("1")
    opened.keyboard.press("Escape")
    assert opened.locator(".missed-chip").inner_text() == "Missed 1: malignant"
    opened.click(".missed-drop")
    assert opened.locator(".missed-chip").count() == 0
    opened.keyboard.press("z")
    assert opened.locator(".missed-chip").count() == 1
    opened.keyboard.press("z")
    assert opened.locator(".missed-chip").count() == 0
    assert opened.locator("#overview .missed-spot").count() == 0


def test_a_saved_table_is_loaded_into_another_browser(opened: "Page", seen: SimpleNamespace) -> None:
    answer(opened, "malignant")
    opened.click(".mark-missed")
    mark(opened, (0.5, 0.5))
    opened.keyboard.press("1")
    path, before = saved_after_close(opened)
    table = path.read_bytes()
    opened.evaluate("localStorage.clear()")
    opened.reload()
    assert pressed(opened) == []
    seen.name_reader(opened, "dr-a")
    opened.set_input_files("#load-file", {"name": "verdicts.csv", "mimeType": "text/csv", "buffer": table})
    opened.wait_for_selector(".missed-chip")
    assert "2 regions and slides loaded" in opened.locator("#status").inner_text()
    assert pressed(opened) == ["malignant"]
    assert saved(opened)[1] == before


def saved_after_close(page: "Page") -> tuple[Path, Answers]:
    page.keyboard.press("Escape")
    return saved(page)


def test_stains_of_a_patient_stand_side_by_side_and_are_one_click_apart(
    offline_page: "Page", write_page: Callable[..., Path], make_review: Callable[..., SlideReview]
) -> None:
    mgg, other, pap = (make_review(name, 3) for name in ("S1", "S2", "S3"))
    mgg, pap = replace(mgg, patient="P1", stain="MGG"), replace(pap, patient="P1", stain="Pap")
    page = offline_page
    page.goto(write_page(mgg, replace(other, patient="P2"), pap).as_uri())
    assert page.locator(".patient-name").all_inner_texts() == ["Patient P1"]  # one slide makes no group
    boxes = [page.locator(f'#slides button[title="{name}"]').bounding_box() for name in ("S1", "S3")]
    assert boxes[0]
    assert boxes[1]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    page.keyboard.press("]")
    assert page.locator("h1").inner_text() == "S3"
    page.click('.stain-switch button:has-text("MGG")')
    assert page.locator("h1").inner_text() == "S1"
    assert page.locator('#slides [aria-current="true"]').get_attribute("title") == "S1"


def test_a_slide_on_which_nothing_could_be_judged_has_areas_advice_and_the_whole_slide(
    offline_page: "Page", write_page: Callable[..., Path], make_review: Callable[..., SlideReview]
) -> None:
    empty = make_review("S1", 0, call="inadequate")
    assert empty.facts is not None
    areas = {"glass": 3.0, "in_bubble": 1.0, "no_pixels": 1.0}
    facts = replace(empty.facts, assessment={"adequate": False, "areas_mm2": areas})
    page = offline_page
    page.goto(write_page(replace(empty, facts=facts)).as_uri())
    assert page.locator(".areas th").all_inner_texts() == [
        "empty glass",
        "under air bubbles",
        "missing in the file",
    ]
    assert page.locator(".areas td:nth-child(3)").all_inner_texts() == ["60 %", "20 %", "20 %"]
    assert "Mount the slide again" in page.locator(".advice").inner_text()
    page.keyboard.press("o")
    assert page.locator("#spot").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    mark(page, (0.5, 0.5))
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    page.keyboard.press("w")
    page.keyboard.press("0")
    assert pressed(page) == ["inadequate"]
    assert page.locator(".missed-chip").count() == 1


def test_the_row_of_the_slide_holds_its_buttons_at_every_width(opened: "Page") -> None:
    opened.click(".mark-missed")
    mark(opened, (0.5, 0.5))
    opened.keyboard.press("1")
    opened.keyboard.press("Escape")
    for width in (360, 600, 1000, 1920):
        opened.set_viewport_size({"width": width, "height": 900})
        outside = opened.evaluate(
            """() => { const row = document.getElementById("slide-answer").getBoundingClientRect();
            return [...document.querySelectorAll("#slide-answer button")].filter((button) => {
              const box = button.getBoundingClientRect();
              return box.left < row.left || box.right > row.right + 0.5 || box.width < 16; }).length; }"""
        )
        assert outside == 0, width
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


def test_the_whole_picture_can_be_marked_on_a_phone(opened: "Page") -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.click(".mark-missed")
    ends = "(e) => e.getBoundingClientRect().right"
    inside = opened.locator("#marking").evaluate("(e) => e.getBoundingClientRect().left + e.clientWidth")
    assert opened.locator(".marking-frame").evaluate(ends) <= inside
    mark(opened, (0.95, 0.5))
    opened.keyboard.press("1")
    opened.keyboard.press("Escape")
    (missed,) = saved(opened)[1].missed
    assert missed.geometry.centroid.x == pytest.approx(0.95 * SLIDE_L0_PX, abs=150)


def test_the_key_of_the_slide_works_from_an_enlarged_region(opened: "Page") -> None:
    opened.keyboard.press("Enter")
    opened.wait_for_selector("#context[open]")
    opened.keyboard.press("w")
    assert opened.locator("#context[open]").count() == 0
    opened.keyboard.press("4")
    assert pressed(opened) == ["malignant"]


def test_slides_of_one_stain_can_be_told_apart_and_names_break_at_their_parts(
    offline_page: "Page", write_page: Callable[..., Path], make_review: Callable[..., SlideReview]
) -> None:
    names = ("laboratory_2026-11-29_blank", "S2", "S3")
    reviews = [
        replace(make_review(name, 2), patient="P", stain=stain)
        for name, stain in zip(names, ("pap", "pap", "mgg"), strict=True)
    ]
    offline_page.goto(write_page(*reviews).as_uri())
    assert offline_page.locator(".stain-switch button").all_inner_texts() == ["pap 1", "pap 2", "mgg"]
    name = offline_page.locator(".slide-name").first
    assert name.inner_text() == names[0]
    lines = name.evaluate(
        """(e) => { const range = document.createRange(); return [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => {
        range.selectNodeContents(n); return range.getClientRects().length; }); }"""
    )
    assert lines == [1] * 5  # no part is broken inside
