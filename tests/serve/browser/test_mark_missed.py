"""Marking something missed in the slide viewer, in the pixels of the slide."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from inkdot.labels import DEFAULT_HEADS
from inkdot.review.verdicts.answers import read_answers

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def on_screen(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a point of level 0 is on the screen."""
    return tuple(
        page.evaluate(
            """([x, y]) => { const s = Inkdot.seadragon, b = s.element.getBoundingClientRect(),
            p = s.viewport.pixelFromPoint(s.world.getItemAt(0).imageToViewportCoordinates(x, y), true);
            return [b.left + p.x, b.top + p.y]; }""",
            [x, y],
        )
    )  # type: ignore[return-value]


def test_a_click_and_an_outline_are_stored_in_level_0_pixels(
    server: Any, log_in: "Callable[..., Any]", page_of: SimpleNamespace, truth: SimpleNamespace
) -> None:
    page = log_in(server)
    page_of.go(page, server)
    page.keyboard.press("k")
    page.wait_for_selector(".marking-layer")
    page_of.settle(page)
    page.mouse.click(*on_screen(page, truth.bars_x_l0_px[0], 900))
    page.wait_for_selector(".missed-question:not([hidden])")
    page.keyboard.press("m")  # no answer here, and none for the region behind it
    page.keyboard.press("1")
    corners = [(1400, 300), (1800, 300), (1800, 700), (1400, 700)]
    page.mouse.move(*on_screen(page, *corners[0]))
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*on_screen(page, *corner), steps=3)
    page.mouse.up()
    page.keyboard.press("3")
    page_of.kept(page)
    page.keyboard.press("Escape")
    assert page.locator(".marking-layer").count() == 0
    assert page.locator(".missed-chip").all_inner_texts() == ["Missed 1: malignant", "Missed 2: look again"]
    found = read_answers([server.results.reviews_sqlite], DEFAULT_HEADS)
    assert found.regions == ()
    clicked, drawn = (
        next(m for m in found.missed if m.verdict == name) for name in ("malignant", "look_again")
    )
    x, y = clicked.geometry.centroid.coords[0]
    first, second = on_screen(page, 0, 0), on_screen(page, 1000, 0)
    pixel = 1000 / (second[0] - first[0])  # of the screen, in level-0 pixels
    assert x == pytest.approx(truth.bars_x_l0_px[0], abs=2 * pixel + 1)
    assert y == pytest.approx(900, abs=2 * pixel + 1)
    left, _, right, _ = clicked.geometry.bounds
    assert right - left == pytest.approx(truth.side_l0_px / 2, abs=2)
    assert drawn.geometry.bounds == pytest.approx((1400, 300, 1800, 700), abs=2 * pixel + 1)
    page.reload()
    page.wait_for_selector(".missed-chip")
    assert page.locator(".missed-chip").count() == 2
    page.keyboard.press("z")
    page.wait_for_function("() => document.querySelectorAll('.missed-chip').length === 1")


def test_answers_of_a_slide_reach_the_list_of_slides(
    server: Any, log_in: "Callable[..., Any]", page_of: SimpleNamespace
) -> None:
    page = log_in(server)
    page_of.go(page, server)
    page.click('#slide-answer [data-verdict="suspicious"]')
    page.keyboard.press("9")
    page_of.kept(page)
    page.goto(server.page(""))
    assert page.locator(".slide-said").all_inner_texts() == ["suspicious, adequate"]


COVERED = """() => [...document.querySelectorAll("#context button")].filter((button) => {
    const box = button.getBoundingClientRect();
    if (box.width === 0 || box.top < 0 || box.bottom > innerHeight) return false;
    const top = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    return top !== button && !button.contains(top);
}).map((button) => button.textContent)"""


@pytest.mark.parametrize("size", [(390, 844), (768, 1024), (1440, 900)])
def test_no_button_is_covered_while_marking(
    shared_server: Any, log_in: "Callable[..., Any]", page_of: SimpleNamespace, size: tuple[int, int]
) -> None:
    page = log_in(shared_server, size=size)
    page_of.go(page, shared_server)
    page.keyboard.press("k")
    page.wait_for_selector(".marking-layer")
    page_of.settle(page)
    assert page.evaluate(COVERED) == []
    box = page.locator(".marking-layer").bounding_box()
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.6 * box["height"])
    page.wait_for_selector(".missed-question:not([hidden])")
    assert page.evaluate(COVERED) == []
    page.click("text=Not this")
    page.click(".marking-done")
    assert page.locator(".marking-layer").count() == 0


def test_the_key_of_the_slide_closes_a_viewer_that_hides_its_row(
    server: Any, log_in: "Callable[..., Any]", page_of: SimpleNamespace
) -> None:
    page = log_in(server, size=(768, 1024))
    page_of.go(page, server)
    page_of.open_viewer(page)
    page.keyboard.press("w")
    page.keyboard.press("1")
    assert page.locator('#slide-answer [aria-pressed="true"]').all_inner_texts() == ["1\nnegative"]
