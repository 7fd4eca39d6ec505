"""What the page holds; how it behaves is shown in a browser (tests/browser)."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from inkdot.review.gallery.gallery import GallerySettings, gallery_facts
from inkdot.review.gallery.page import data_block, page_text
from inkdot.review.gallery.slide_review import CardImages, SlideReview
from inkdot.review.results.merged_regions import rank_merged_regions
from inkdot.review.results.scored_slide import ScoredSlide
from inkdot.review.wording import FOOTER, RESEARCH_USE

MakeSlide = Callable[..., ScoredSlide]


def review(slide: ScoredSlide, **more: Any) -> SlideReview:
    ranking = rank_merged_regions(slide, 30, 0.75)
    images = tuple(CardImages(f"t{p.rank}.jpg", f"c{p.rank}.jpg") for p in ranking.regions)
    values = {"call": "flagged", "score": 0.9, "warnings": slide.facts.warnings} | more
    return SlideReview(
        slide.facts.frame.slide_id,
        facts=slide.facts,
        ranking=ranking,
        images=images,
        overview="o.jpg",
        overview_size_px=(100, 80),
        **values,
    )


@pytest.fixture
def reviews(make_slide: MakeSlide) -> list[SlideReview]:
    return [
        review(
            make_slide(
                [(i * 500, j * 500) for i in range(6)], [0.9 - 0.1 * i for i in range(6)], slide_id=f"S{j}"
            )
        )
        for j in range(6)
    ]


def embedded(page: str) -> Any:
    match = re.search(r'<script type="application/json" id="facts">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


@pytest.mark.parametrize(
    "name", ["</script><script>alert(1)</script>", "<!--<script>", "a\u2028b", "&lt;", "{{style}}"]
)
def test_no_name_can_end_the_data_block(make_slide: MakeSlide, name: str) -> None:
    facts = gallery_facts(
        [review(make_slide([(0, 0)], [0.9], slide_id=name, warnings=(name,)))], GallerySettings()
    )
    assert not set("<>&\u2028\u2029") & set(data_block(facts))
    page = page_text(facts)
    assert embedded(page) == json.loads(json.dumps(facts))
    assert page.count("<script") == 3


def test_the_policy_allows_this_script_and_this_style_and_nothing_else(reviews: list[SlideReview]) -> None:
    page = page_text(gallery_facts(reviews, GallerySettings()))
    match = re.search(r'Content-Security-Policy" content="(.*?)"', page)
    assert match is not None
    policy = match[1].replace("&#x27;", "'")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert content is not None
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    # No inline handler and no inline style: the policy would refuse them.
    markup = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert re.search(r"\son\w+=|\sstyle=", markup) is None


def test_the_limits_of_use_are_shown_without_script(reviews: list[SlideReview]) -> None:
    markup = page_text(gallery_facts(reviews, GallerySettings())).replace("&#x27;", "'").split("<script")[0]
    assert RESEARCH_USE in markup
    assert FOOTER in markup


def test_the_synthetic_banner_shows_only_for_a_synthetic_model(make_slide: MakeSlide) -> None:
    for synthetic in (True, False):
        slide = make_slide([(0, 0)], [0.9], synthetic_model=synthetic)
        page = page_text(gallery_facts([review(slide)], GallerySettings()))
        banner = re.search(r'<p class="banner synthetic"[^>]*>', page)
        assert banner is not None
        assert ("hidden" not in banner[0]) == synthetic


def test_a_blinded_page_holds_no_model_output(reviews: list[SlideReview]) -> None:
    text = json.dumps(gallery_facts(reviews, GallerySettings(blinded_seed=7)))
    for word in ("score", 'flagged"', "threshold", '"call"', "0.9"):
        assert word not in text.replace("flag_class", "")


def test_a_blinded_order_is_shuffled_and_repeats_with_its_seed(reviews: list[SlideReview]) -> None:
    def order(seed: int | None) -> list[Any]:
        slides: Any = gallery_facts(reviews, GallerySettings(blinded_seed=seed))["slides"]
        return [(slide["id"], [region["x_l0_px"] for region in slide["regions"]]) for slide in slides]

    assert order(7) == order(7)
    assert order(7) != order(8)
    ranked = dict(order(None))
    assert [ranked[name] for name, _ in order(7)] != [regions for _, regions in order(7)]
    for name, regions in order(7):
        assert sorted(regions) == sorted(ranked[name])


def test_verdicts_are_in_display_order(reviews: list[SlideReview]) -> None:
    heads: Any = gallery_facts(reviews, GallerySettings())["heads"]
    names = [[verdict["name"] for verdict in head["verdicts"]] for head in heads]
    assert names == [
        ["malignant", "benign", "atypical", "unsure"],
        ["small_cell", "large_cell", "mixed", "indeterminate"],
    ]


def test_more_regions_do_not_lose_the_verdicts_given_so_far(make_slide: MakeSlide) -> None:
    slide = make_slide([(i * 500, 0) for i in range(9)], [0.9] * 9)
    few, many = (
        SlideReview("slide", "flagged", 0.9, facts=slide.facts, ranking=rank_merged_regions(slide, n, 0.75))
        for n in (3, 9)
    )
    names = {gallery_facts([item], GallerySettings())["review_id"] for item in (few, many)}
    assert len(names) == 1
