"""Nuclei as outlined over the enlarged region: where they lie, when they are shown, and why they are not."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from inkdot.review.gallery.card_images import jpeg_bytes
from inkdot.review.gallery.fields import context_field
from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.results.cluster_facts import ClusterFacts
from inkdot.storage.tables.nuclei import NucleusOutlines, Ring

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WritePage = Callable[..., Path]
MakeReview = Callable[..., SlideReview]
RADIUS_L0_PX = 40
NUCLEUS_L0_PX = (160, 110)  # in the region's box of 256 pixels
BUTTON = '[data-tool="nuclei"]'
STILL = (
    "() => { const view = Inkdot.placeView.view(), port = view?.ready && view.seadragon.viewport;"
    " return port && port.getZoom(true) === port.getZoom(false) && port.getRotation(true) === port.getRotation(false); }"
)


def disc(x: float, y: float, radius: float) -> Ring:
    return tuple(
        (x + radius * np.cos(a), y + radius * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 24, False)
    )


def with_clusters(
    review: SlideReview, outlines: NucleusOutlines | None, *, nuclei: int = 8, measured: int | None = 1
) -> SlideReview:
    assert review.ranking is not None
    facts = ClusterFacts(0, nuclei, True, measured, {}, 0, nuclei, outlines=outlines)
    regions = tuple(replace(region, cluster=facts) for region in review.ranking.regions)
    return replace(review, ranking=replace(review.ranking, regions=regions, unit="cluster"))


def one_nucleus(review: SlideReview, cut: tuple[Ring, ...] = ()) -> SlideReview:
    return with_clusters(review, NucleusOutlines((disc(*NUCLEUS_L0_PX, RADIUS_L0_PX),), cut))


def paint_nucleus(page: Path, review: SlideReview) -> None:
    """A black disc where the outline of the first region's nucleus must lie, on a white slide of 0.25 µm per pixel."""
    assert review.ranking is not None
    assert review.facts is not None
    field = context_field(review.ranking.regions[0], review.facts.spec, review.facts.frame.mpp)
    assert float(field.spec.mpp) == pytest.approx(0.25)
    rgb = np.full((int(field.spec.side_px),) * 2 + (3,), 255, np.uint8)
    x, y = NUCLEUS_L0_PX[0] - field.x_l0_px, NUCLEUS_L0_PX[1] - field.y_l0_px
    cv2.circle(rgb, (round(x), round(y)), RADIUS_L0_PX, (0, 0, 0), -1)
    (page.parent / "tiles" / "context.jpg").write_bytes(jpeg_bytes(rgb))


def seen(page: "Page") -> npt.NDArray[np.int_]:
    page.wait_for_function(STILL)
    page.wait_for_timeout(300)
    box = page.locator("#context .viewer").bounding_box()
    assert box is not None
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB"), int)


def black_and_green(shot: npt.NDArray[np.int_]) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Points [n, 2] of the painted nucleus (its largest black part) and of its outline."""
    red, green, blue = np.moveaxis(shot, 2, 0)
    dark = (shot.max(axis=2) < 60).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(dark)
    nucleus = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    line = (green - red > 60) & (green - blue > 10)
    return np.argwhere(nucleus), np.argwhere(line)


def test_the_outline_lies_on_the_nucleus_at_two_zooms_and_turned(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    review = one_nucleus(make_review("S1", 1))
    path = write_page(review)
    paint_nucleus(path, review)
    offline_page.goto(path.as_uri())
    offline_page.keyboard.press("Enter")
    offline_page.wait_for_function(STILL)
    offline_page.uncheck('[data-layer="outline"]')
    _, line = black_and_green(seen(offline_page))
    assert len(line) == 0
    offline_page.keyboard.press("e")
    assert offline_page.locator(BUTTON).get_attribute("aria-pressed") == "true"
    legend = offline_page.locator(".nuclei-legend")
    for keys, um_per_px in ((["4"], 0.25), (["2"], 0.5), ([".", ".", "."], 0.5)):
        for key in keys:
            offline_page.keyboard.press(key)
        offline_page.evaluate("document.querySelector('.nuclei-legend').style.visibility = 'hidden'")
        nucleus, line = black_and_green(seen(offline_page))
        assert len(line) > 60
        centre, radius = nucleus.mean(axis=0), RADIUS_L0_PX * 0.25 / um_per_px
        assert np.median(np.hypot(*(line - centre).T)) == pytest.approx(radius, abs=1.5)
        assert line.mean(axis=0) == pytest.approx(centre, abs=1.5)
    offline_page.evaluate("document.querySelector('.nuclei-legend').style.visibility = ''")
    assert legend.locator(".line-solid").inner_text() == "1 of about 8 nuclei measured"
    assert legend.locator(".line-dashed").count() == 0
    offline_page.click(BUTTON)
    _, line = black_and_green(seen(offline_page))
    assert len(line) == 0
    assert not legend.is_visible()


def test_nuclei_that_were_cut_are_dashed_and_named(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    offline_page.goto(write_page(one_nucleus(make_review("S1", 2), cut=(disc(30, 30, 20),))).as_uri())
    offline_page.keyboard.press("Enter")
    offline_page.wait_for_function(STILL)
    before = seen(offline_page)
    offline_page.click(BUTTON)
    dashed = offline_page.locator(".nuclei-legend .line-dashed")
    assert dashed.inner_text() == "1 cut by the edge of the field: not measured"
    assert seen(offline_page).shape == before.shape  # the image does not move when they come and go
    offline_page.keyboard.press("ArrowRight")  # what a reader chose stays chosen
    assert offline_page.locator("#context-title").inner_text() == "Region 2"
    assert dashed.is_visible()
    caption = offline_page.evaluate("Inkdot.nucleiCaption(Inkdot.facts.slides[0].regions[1])")
    assert caption.startswith("Nuclei as outlined: 1 of about 8 nuclei measured; dashed: 1 cut by the edge")


@pytest.mark.parametrize(
    ("outlines", "measured", "reason"),
    [
        (None, 5, "these results hold no outlines: an earlier version made them; run inkdot predict again"),
        (None, None, "the nuclei of this cluster were not measured: it is not among the highest scores"),
        (NucleusOutlines(), 0, "no nucleus of this cluster could be outlined"),
    ],
    ids=["old results", "not measured", "none"],
)
def test_without_outlines_the_button_says_why(
    offline_page: "Page",
    write_page: WritePage,
    make_review: MakeReview,
    outlines: NucleusOutlines | None,
    measured: int | None,
    reason: str,
) -> None:
    offline_page.goto(write_page(with_clusters(make_review("S1", 1), outlines, measured=measured)).as_uri())
    offline_page.keyboard.press("Enter")
    button = offline_page.locator(BUTTON)
    assert button.get_attribute("aria-disabled") == "true"
    assert button.get_attribute("aria-label") == f"Nuclei as outlined: {reason}"
    button.click(force=True)
    assert offline_page.locator("#status").inner_text() == f"{reason[0].upper()}{reason[1:]}."
    assert button.get_attribute("aria-pressed") == "false"
    assert not offline_page.locator(".nuclei-legend").is_visible()


def test_a_blinded_page_and_a_region_of_the_grid_have_none(
    offline_page: "Page", write_page: WritePage, make_review: MakeReview
) -> None:
    path = write_page(one_nucleus(make_review("S1", 1)), blinded_seed=1)
    assert "outlines" not in path.read_text(encoding="utf-8").split('id="facts"')[1].split("</script>")[0]
    for page in (path, write_page(make_review("S1", 1))):
        offline_page.goto(page.as_uri())
        offline_page.keyboard.press("Enter")
        offline_page.wait_for_function(STILL)
        assert offline_page.locator(BUTTON).count() == 0
        offline_page.keyboard.press("e")
