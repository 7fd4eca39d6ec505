"""No button of the gallery is cut, covered or broken at any width, and the answers are in sight."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.results.cluster_facts import ClusterFacts
from inkdot.storage.schemas import MEASURES

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WritePage = Callable[..., Path]
MakeReview = Callable[..., SlideReview]
CutButtons = Callable[["Page", str], list[str]]
WARNINGS = tuple(
    f"warning {number}, " + "which goes on about the slide for a line and a half " * 3 for number in range(7)
)


@pytest.mark.parametrize("width", [360, 390, 600, 768, 1280, 1440, 1920])
def test_no_button_is_cut_covered_or_broken(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, cut_buttons: CutButtons, width: int
) -> None:
    offline_page.set_viewport_size({"width": width, "height": 844 if width < 700 else 1000})
    offline_page.goto(write_page(make_review("S1", 3)).as_uri())
    offline_page.keyboard.press("m")  # the answers of the second head are asked for, too
    assert offline_page.locator(".card").first.locator(".verdict:visible").count() == 9
    assert cut_buttons(offline_page, "body > :not(dialog)") == []
    offline_page.keyboard.press("Home")
    offline_page.keyboard.press("Enter")
    offline_page.wait_for_function("() => Inkdot.placeView.view()?.ready")
    assert offline_page.locator("#context .verdict:visible").count() == 9
    assert cut_buttons(offline_page, "#context") == []


def test_a_cut_button_is_found(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, cut_buttons: CutButtons
) -> None:
    offline_page.goto(write_page(make_review("S1", 1)).as_uri())
    button = "document.querySelector('.card .verdict')"
    offline_page.evaluate(f"{button}.style.cssText = 'position: fixed; left: -40px; top: 300px; width: 60px'")
    assert "malignant: outside" in " ".join(cut_buttons(offline_page, ".card")).replace("\n", " ")
    offline_page.evaluate(
        f"{button}.style.cssText = 'width: 40px; min-width: 0; flex: none; word-break: break-all'"
    )
    assert "malignant is broken" in " ".join(cut_buttons(offline_page, ".card"))


def test_the_first_row_of_answers_is_above_the_fold_below_many_warnings(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    review = make_review("S1", 6, warnings=WARNINGS)
    assert review.ranking is not None
    measured = ClusterFacts(0, 9, False, 4, dict.fromkeys(MEASURES, 1.0), 2, 40)
    regions = tuple(replace(region, cluster=measured) for region in review.ranking.regions)
    review = replace(review, ranking=replace(review.ranking, regions=regions, unit="cluster"))
    offline_page.set_viewport_size({"width": 1440, "height": 900})
    offline_page.goto(write_page(review).as_uri())
    for button in offline_page.locator('.card:nth-child(-n + 5) [data-verdict="malignant"]').all():
        box = button.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900
    assert offline_page.locator(".warnings li:visible").count() == 2
    offline_page.get_by_text("5 more warnings").click()
    assert offline_page.locator(".warnings li:visible").count() == 7
