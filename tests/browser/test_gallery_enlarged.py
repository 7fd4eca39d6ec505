"""A region enlarged in the gallery: navigation, verdicts, brightness and contrast."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.results.cluster_facts import ClusterFacts
from inkdot.review.wording import score_text
from inkdot.storage.schemas import MEASURES

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WritePage = Callable[..., Path]
MakeReview = Callable[..., SlideReview]
Eventually = Callable[[Callable[[], object], object], None]
# A dialog's own `close` event comes some time after it was closed; here it comes later than any key.
LATE_CLOSE_EVENT = """
window.addEventListener("close", (event) => {
  if (!event.isTrusted) return;
  event.stopImmediatePropagation();
  setTimeout(() => event.target.dispatchEvent(new Event("close")), 60_000);
}, true);
"""


def test_keys_navigate_and_give_verdicts_in_the_enlarged_view(
    offline_page: "Page",
    write_page: WritePage,
    make_review: MakeReview,
    eventually: Eventually,
    seen: SimpleNamespace,
) -> None:
    offline_page.goto(write_page(make_review("S1", 5)).as_uri())
    offline_page.keyboard.press("Enter")
    title = offline_page.locator("#context-title")
    offline_page.keyboard.press("ArrowRight")
    assert title.inner_text() == "Region 2"
    offline_page.keyboard.press("b")
    assert title.inner_text() == "Region 3"
    offline_page.keyboard.press("Escape")
    eventually(lambda: seen.focused_rank(offline_page), "3")
    assert offline_page.locator("#context[open]").count() == 0
    assert seen.pressed(offline_page, 2) == ["benign"]


@pytest.mark.parametrize("way", ["Escape", "button", "note"])
def test_the_card_has_the_focus_as_soon_as_the_enlarged_view_closes(
    offline_page: "Page",
    write_page: WritePage,
    make_review: MakeReview,
    eventually: Eventually,
    way: str,
    seen: SimpleNamespace,
) -> None:
    offline_page.add_init_script(LATE_CLOSE_EVENT)
    offline_page.goto(write_page(make_review("S1", 5)).as_uri())
    offline_page.keyboard.press("n" if way == "note" else "Enter")
    if way == "note":
        offline_page.keyboard.type("small")
    if way == "button":
        offline_page.get_by_role("button", name="Close").click()
    else:
        offline_page.keyboard.press("Escape")
    eventually(lambda: seen.focused_rank(offline_page), "1")
    assert offline_page.locator("#context[open]").count() == 0
    assert offline_page.locator(".card .note").all_inner_texts() == (["small"] if way == "note" else [])


def test_brightness_and_contrast_change_the_image_and_are_reset(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.goto(write_page(make_review("S1", 2)).as_uri())
    offline_page.keyboard.press("Enter")
    brightness = offline_page.get_by_label("Brightness")
    brightness.fill("140")
    offline_page.wait_for_function("() => Inkdot.placeView.view().ready")
    image = "document.querySelector('#context .deep canvas').style.filter"
    assert offline_page.evaluate(image) == "brightness(140%) contrast(100%)"
    offline_page.get_by_role("button", name="Reset view").click()
    assert offline_page.evaluate(image) == "brightness(100%) contrast(100%)"


@pytest.mark.parametrize("size", [(1366, 768), (820, 1180)], ids=["laptop", "tablet"])
def test_verdicts_and_note_are_seen_without_scrolling(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, size: tuple[int, int]
) -> None:
    measured = ClusterFacts(0, 9, True, 9, dict.fromkeys(MEASURES, 1.0), 2, 40)
    review = make_review("S1", 3)
    assert review.ranking is not None
    regions = tuple(replace(region, cluster=measured) for region in review.ranking.regions)
    offline_page.set_viewport_size({"width": size[0], "height": size[1]})
    offline_page.goto(
        write_page(replace(review, ranking=replace(review.ranking, regions=regions, unit="cluster"))).as_uri()
    )
    offline_page.keyboard.press("Enter")
    panel = offline_page.locator("#context").bounding_box()
    assert panel is not None
    for part in ('[data-verdict="unsure"]', "#note", '[data-view="brightness"]'):
        box = offline_page.locator(f"#context {part}").bounding_box()
        assert box is not None
        if part.startswith("[data-view") and size[0] > 1000:
            continue  # below the measurements of a low screen
        assert box["y"] + box["height"] <= panel["y"] + panel["height"], part


def test_a_laptop_s_window_enlarged_for_reading_keeps_the_image_large(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.set_viewport_size({"width": 910, "height": 512})  # 1366 × 768 at 150 %
    offline_page.goto(write_page(make_review("S1", 3)).as_uri())
    offline_page.keyboard.press("Enter")
    image = offline_page.locator("#context .stage .viewer").bounding_box()
    verdict = offline_page.locator('#context [data-verdict="unsure"]').bounding_box()
    assert image is not None
    assert verdict is not None
    assert image["height"] > 400
    assert verdict["y"] + verdict["height"] < 500


def um_per_px(page: "Page") -> float:
    """Of the screen, when the view stands still."""
    page.wait_for_function(
        "() => { const view = Inkdot.placeView.view(), port = view?.ready && view.seadragon.viewport;"
        " return port && port.getZoom(true) === port.getZoom(false); }"
    )
    return page.evaluate("Inkdot.placeView.view().umPerPx()")


def test_a_place_opens_at_40x_and_keys_magnify(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.goto(write_page(make_review("S1", 2)).as_uri())
    offline_page.keyboard.press("Enter")
    assert um_per_px(offline_page) == pytest.approx(0.25, rel=0.01)
    for key, expected in (("1", 1.0), ("2", 0.5), ("4", 0.25)):
        offline_page.keyboard.press(key)
        assert um_per_px(offline_page) == pytest.approx(expected, rel=0.01)
    offline_page.keyboard.press("2")
    um_per_px(offline_page)
    offline_page.keyboard.press("ArrowRight")  # the reader's own is kept from region to region
    assert um_per_px(offline_page) == pytest.approx(0.5, rel=0.02)
    box = offline_page.locator("#context .viewer").bounding_box()
    assert box is not None
    offline_page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    offline_page.mouse.wheel(0, -200)
    offline_page.wait_for_timeout(100)
    assert um_per_px(offline_page) < 0.45


@pytest.mark.parametrize("turned", [False, True])
def test_a_measured_line_has_its_length_on_the_glass(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, turned: bool
) -> None:
    offline_page.goto(write_page(make_review("S1", 1)).as_uri())
    offline_page.keyboard.press("Enter")
    offline_page.get_by_role("button", name="Measure").click()
    if turned:
        for _ in range(3):
            offline_page.keyboard.press(".")
        offline_page.wait_for_timeout(900)
    scale = um_per_px(offline_page)
    box = offline_page.locator("#context .viewer").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    offline_page.mouse.move(x - 60, y - 40)
    offline_page.mouse.down()
    offline_page.mouse.move(x, y)
    offline_page.mouse.move(x + 60, y + 40)
    offline_page.wait_for_timeout(300)  # else it would be a fling
    offline_page.mouse.up()
    words = offline_page.locator("#status").inner_text()
    assert float(words.split(" µm")[0]) == pytest.approx((120**2 + 80**2) ** 0.5 * scale, abs=0.3)
    # Nothing moved under the line.
    assert um_per_px(offline_page) == pytest.approx(scale)


def test_a_link_leads_to_one_region(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    page = write_page(make_review("S1", 2), make_review("S2", 5))
    offline_page.goto(page.as_uri() + "#2/4")
    offline_page.wait_for_selector("#context[open]")
    assert offline_page.locator("#context-title").inner_text() == "Region 4"
    assert offline_page.locator("h1").inner_text() == "S2"
    offline_page.keyboard.press("ArrowRight")
    assert offline_page.evaluate("location.hash") == "#2/5"
    offline_page.keyboard.press("Escape")
    assert offline_page.evaluate("location.hash") == "#2"


def test_no_score_is_shown_as_certain(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.goto(write_page(make_review("S1", 1)).as_uri())
    scores = [0.0, 0.0001, 0.0005, 0.5, 0.9994, 0.9996, 1.0]
    shown = offline_page.evaluate("(scores) => scores.map(Inkdot.score)", scores)
    assert shown == [score_text(score) for score in scores]
    assert shown == ["<0.001", "<0.001", "0.001", "0.500", "0.999", ">0.999", ">0.999"]
