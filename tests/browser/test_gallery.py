"""The gallery in a real browser, opened from disk. `offline_page` fails a test for any request, error or policy breach."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from inkdot.labels import Head
from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.results.cluster_facts import ClusterFacts

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WritePage = Callable[..., Path]
MakeReview = Callable[..., SlideReview]
NASTY = "</script><img src=x onerror=\"document.title='owned'\"> &amp; <b>bold</b>"


def test_cards_are_in_rank_order_with_their_facts(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.goto(write_page(make_review("S1", 12)).as_uri())
    assert offline_page.locator(".card").count() == 12
    first = offline_page.locator(".card").first
    text = first.inner_text()
    for part in ("0.990", "flagged", "small-cell-like", "0.800", "x 0, y 0 px", "0.03, 0.03 mm"):
        assert part in text
    last = offline_page.locator(".card").last.inner_text()
    assert "not flagged" in last
    assert "small-cell-like" not in last  # morphology is asked of malignant regions only
    images = "[...document.querySelectorAll('.card img')].slice(0, 5)"
    offline_page.wait_for_function(
        f"() => {images}.every((image) => image.complete && image.naturalWidth > 0)"
    )


def test_names_and_warnings_are_text_and_never_markup(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.goto(write_page(make_review(NASTY, 3, warnings=(NASTY,))).as_uri())
    assert offline_page.locator("h1").inner_text() == NASTY
    assert offline_page.locator(".warnings li").inner_text() == NASTY
    assert offline_page.locator(".slide-name").inner_text() == NASTY
    assert "owned" not in offline_page.title().replace(NASTY, "")
    assert offline_page.locator("img[src='x']").count() == 0
    offline_page.keyboard.press("Enter")
    assert NASTY in offline_page.locator("#context").inner_text()


def test_a_slide_with_nothing_flagged_is_shown_and_not_called_negative(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.goto(write_page(make_review("S1", 5, call="nothing flagged")).as_uri())
    assert offline_page.locator(".card").count() == 5
    text = offline_page.locator("body").inner_text().lower()
    assert "nothing is flagged" in text
    assert "does not exclude malignancy" in text
    answers = offline_page.locator("#slide-answer").inner_text().lower()
    assert "negative" not in text.replace(answers, "")  # a reader may say it, the page may not
    assert offline_page.locator(".flag.yes").count() == 0


def test_an_inadequate_slide_says_so_although_its_regions_are_shown(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.goto(write_page(make_review("S1", 3, call="inadequate")).as_uri())
    assert offline_page.locator(".card").count() == 3
    assert "inadequate, not negative" in offline_page.locator("#slide-head").inner_text()


def test_every_slide_names_its_file_for_qupath_also_an_empty_one(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.goto(write_page(make_review("S1", 3), make_review("bare", 0, call="inadequate")).as_uri())
    for name in ("S1", "bare"):
        offline_page.click(f"#slides button[title={name}]")
        assert f"for QuPath: {name}.geojson" in offline_page.locator("#slide-head").inner_text()


def test_a_flagged_cluster_without_a_card_is_named_and_outlined_on_that_of_another(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    review = make_review("S1", 3)
    assert review.ranking is not None
    first, *rest = review.ranking.regions
    inner = ((20.0, 20.0), (26.0, 20.0), (26.0, 26.0), (20.0, 20.0))
    cluster = ClusterFacts(0, 4, True, 4, {}, others=1, group_nuclei=4, flagged_others=(inner,))
    ranking = replace(
        review.ranking,
        regions=(replace(first, cluster=cluster), *rest),
        unit="cluster",
        units=4,
        flagged_units=3,
    )
    offline_page.goto(write_page(replace(review, ranking=ranking)).as_uri())
    assert "1 more flagged cluster in this image" in offline_page.locator(".card").first.inner_text()
    head = offline_page.locator("#slide-head").inner_text()
    assert "3 of 4 clusters and cells at or above" in head
    assert "1 more flagged cluster lies in the image of another and is outlined there" in head
    offline_page.keyboard.press("Enter")
    offline_page.wait_for_function("() => Inkdot.placeView.view()?.ready")
    offline_page.wait_for_timeout(300)
    extent, scale = offline_page.evaluate(
        """() => {
        const canvas = document.querySelector('#context .layers'), side = canvas.width;
        const { data } = canvas.getContext('2d').getImageData(0, 0, side, canvas.height);
        const columns = [];
        for (let at = 0; at < data.length; at += 4)
          if (data[at] > 170 && data[at + 1] < 100 && data[at + 2] < 60 && data[at + 3] > 200) columns.push((at / 4) % side);
        return [columns.length && Math.max(...columns) - Math.min(...columns), Inkdot.placeView.view().frame().scale];
        }"""
    )
    side = offline_page.evaluate("Inkdot.facts.slides[0].regions[0].context_px")
    assert extent >= 0.04 * scale * side  # else it would be a dot
    assert "also flagged in this image" in offline_page.locator("#context").inner_text()


def test_the_list_of_keys_begins_at_its_top_on_a_low_screen(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.set_viewport_size({"width": 1366, "height": 600})
    offline_page.goto(write_page(make_review("S1", 3)).as_uri())
    offline_page.keyboard.press("?")
    dialog, title = (offline_page.locator(name).bounding_box() for name in ("#help", "#help-title"))
    assert dialog is not None
    assert title is not None
    assert title["y"] >= dialog["y"]
    offline_page.keyboard.press("Escape")
    assert offline_page.locator("#help[open]").count() == 0


def test_a_blinded_page_shows_neither_scores_nor_calls(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    page = write_page(make_review("S1", 6), make_review("S2", 6, call="nothing flagged"), blinded_seed=11)
    offline_page.goto(page.as_uri())
    text = offline_page.locator("body").inner_text().replace("nothing flagged' does not", "")
    assert "seed 11" in text
    assert "flagged" not in text
    assert "0.990" not in text
    assert offline_page.locator(".meter, .flag, .call, .spot.yes, .spot.no").count() == 0
    seen.name_reader(offline_page, "dr-a")
    offline_page.keyboard.press("b")
    (row,) = seen.verdicts(offline_page)
    assert (row["shown"], row["score"], row["order_seed"]) == ("blinded", "", "11")


def test_arrow_keys_move_over_the_grid_of_cards(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.set_viewport_size({"width": 1500, "height": 900})
    offline_page.goto(write_page(make_review("S1", 12)).as_uri())
    walk = [
        ("ArrowRight", "2"),
        ("ArrowDown", "7"),
        ("ArrowDown", "12"),
        ("ArrowUp", "7"),
        ("ArrowLeft", "6"),
    ]
    walk += [("Home", "1"), ("End", "12"), ("ArrowUp", "7"), ("ArrowRight", "8"), ("ArrowDown", "12")]
    for key, rank in walk:
        offline_page.keyboard.press(key)
        assert seen.current_rank(offline_page) == rank, key
        assert seen.focused_rank(offline_page) == rank


def test_filter_order_and_pages(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 120)).as_uri())
    assert offline_page.locator(".card").count() == 30
    assert offline_page.locator("#pages button").all_inner_texts() == ["1–30", "31–60", "61–90", "91–120"]
    offline_page.keyboard.press("End")
    offline_page.keyboard.press("ArrowRight")
    assert seen.current_rank(offline_page) == "31"  # the arrow goes over the page's edge
    offline_page.keyboard.press("u")
    offline_page.select_option("#filter", "reviewed")
    assert offline_page.locator(".card").count() == 1
    offline_page.select_option("#filter", "flagged")
    assert offline_page.locator(".listed").inner_text() == "60 regions"
    offline_page.select_option("#filter", "all")
    offline_page.select_option("#sort", "verdict")
    assert offline_page.locator(".card").first.get_attribute("data-rank") == "31"


def test_a_mark_on_the_overview_leads_to_its_card(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 40)).as_uri())
    marks = offline_page.locator("#overview .overview-frame .spot")
    assert marks.count() == 40
    mark = offline_page.locator('#overview .spot[data-rank="35"]')
    # In one look: what else arrives on the page may move both.
    across = mark.evaluate(
        """(mark) => {
        const [box, frame] = [mark, mark.closest(".overview-frame")].map((node) => node.getBoundingClientRect());
        return (box.x + box.width / 2 - frame.x) / frame.width; }"""
    )
    # Region 35 lies at x 34 × 300 px, 256 px wide, on a slide of 30,000 px.
    assert across == pytest.approx((34 * 300 + 128) / 30_000, abs=0.004)
    mark.dispatch_event("click")
    assert seen.current_rank(offline_page) == "35"


def test_the_enlarged_overview_marks_every_region(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    offline_page.goto(write_page(make_review("S1", 40)).as_uri())
    offline_page.keyboard.press("o")
    marks = offline_page.locator("#spot .spot")
    assert marks.count() == 40
    # An image of 30,000 × 30,000 px stays square.
    box = offline_page.locator("#spot .overview-frame").bounding_box()
    assert box is not None
    assert box["width"] == pytest.approx(box["height"], abs=1)
    offline_page.locator('#spot .spot[data-rank="7"]').dispatch_event("click")
    assert offline_page.locator("#spot[open]").count() == 0
    assert seen.current_rank(offline_page) == "7"


def test_custom_heads_and_verdicts_work(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview, seen: SimpleNamespace
) -> None:
    heads = (
        Head(
            "grade",
            ("low", "high"),
            {"HSIL": {"high": 1.0}, "NILM": {"low": 1.0}, "cannot say": {}},
            flag_class="high",
        ),
        Head(
            "kind",
            ("squamous", "glandular"),
            {"1": {"squamous": 1.0}, "2": {"glandular": 1.0}},
            condition=("grade", "high"),
        ),
        Head("blood", ("little", "much"), {"little": {"little": 1.0}, "much": {"much": 1.0}}),
    )
    offline_page.goto(write_page(make_review("S1", 4, heads=heads)).as_uri())
    last = offline_page.locator(".card").last
    assert "much" in last.locator(".further").inner_text()  # not bound to a flagged region
    assert "squamous" not in last.locator(".further").inner_text()
    for key in "h1m":
        offline_page.keyboard.press(key)
    assert seen.pressed(offline_page, 1) == ["HSIL", "1", "much"]
    assert seen.current_rank(offline_page) == "2"
    offline_page.keyboard.press("1")
    assert (
        offline_page.locator("#status").inner_text()
        == "Kind is asked only where the verdict on grade is HSIL."
    )
    offline_page.keyboard.press("?")
    keys = offline_page.locator("#help th kbd").all_inner_texts()
    assert len(keys) == len(set(keys))


def test_the_skip_link_leads_to_the_regions(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.goto(write_page(make_review("S1", 4), make_review("S2", 4)).as_uri())
    offline_page.keyboard.press("Tab")
    offline_page.keyboard.press("Enter")
    offline_page.keyboard.press("]")
    assert offline_page.locator("h1").inner_text() == "S2"


def test_a_page_of_failed_slides_opens(offline_page: "Page", write_page: WritePage) -> None:
    broken = SlideReview("S1", "not analysed", None, problem="expected a slide, found a text file")
    offline_page.goto(write_page(broken).as_uri())
    assert "expected a slide, found a text file" in offline_page.locator("#main").inner_text()
    assert "Examine the glass slide" in offline_page.locator("#main").inner_text()
    for key in ("m", "o", "Enter", "z", "n", "]", "End", "ArrowDown"):
        offline_page.keyboard.press(key)
    offline_page.goto(write_page().as_uri())
    assert "no slides" in offline_page.locator("#main").inner_text()
