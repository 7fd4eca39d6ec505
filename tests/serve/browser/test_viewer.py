"""The viewer in a real browser: scale, regions, layers, against the truth in a painted slide."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WAIT_SECONDS = 90
Eventually = Callable[[Callable[[], object], object], None]
OpenPage = Callable[..., "Page"]


def test_the_scale_bar_tells_the_truth(
    shared_server: Any, log_in: OpenPage, truth: SimpleNamespace, page_of: SimpleNamespace
) -> None:
    """Two bars on the slide lie 200 µm apart; the scale bar measures them on a screenshot, at three zooms."""
    page = log_in(shared_server)
    page_of.go(page, shared_server)
    page_of.open_viewer(page)
    page.uncheck('[data-layer="regions"]')
    left, right = truth.bars_x_l0_px
    for width_l0_px in (1100, 550, 620):  # the second at twice the zoom of the first
        page.evaluate(
            "([x, w]) => { const s = Inkdot.seadragon; s.viewport.fitBounds(s.world.getItemAt(0)"
            ".imageToViewportRectangle(x - w / 2, 900 - w / 4, w, w / 2), true); }",
            [(left + right) / 2, width_l0_px],
        )
        page_of.settle(page)
        # In one look: the bar is made anew with every drawn frame.
        bar_px, words = page.evaluate(
            "() => [document.querySelector('.viewer .scale-line').getBoundingClientRect().width,"
            " document.querySelector('.viewer .scale-words').innerText]"
        )
        box = page.locator(".viewer").bounding_box()
        assert box is not None
        um_per_px = float(words.removesuffix(" µm")) / bar_px
        shot = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=box))).convert("L"), dtype=int)
        row = shot[shot.shape[0] // 2]
        dark = np.flatnonzero(np.diff((row < 90).astype(int)) == 1)  # left edges of what is black
        assert len(dark) == 2, words
        found_um = (dark[1] - dark[0]) * um_per_px
        assert found_um == pytest.approx((right - left) * truth.mpp, rel=0.01), words


def test_a_card_s_click_flies_there_and_the_slide_s_click_marks_the_card(
    shared_server: Any, log_in: OpenPage, page_of: SimpleNamespace
) -> None:
    page = log_in(shared_server)
    page_of.go(page, shared_server)
    page.click('.card[data-rank="2"] .open')
    page_of.settle(page)
    assert page.locator("#context-title").inner_text() == "Region 2"
    assert page_of.centre_l0_px(page) == pytest.approx((1700, 1300), abs=2)
    page.keyboard.press("ArrowLeft")
    page_of.settle(page)
    assert page_of.centre_l0_px(page) == pytest.approx((700, 500), abs=2)
    assert page.locator(".card.current").get_attribute("data-rank") == "1"
    page.keyboard.press("o")  # the whole slide
    page_of.settle(page)
    spot = page.evaluate(
        "() => { const s = Inkdot.seadragon, i = s.world.getItemAt(0);"
        "const p = s.viewport.pixelFromPoint(i.imageToViewportCoordinates(1700, 1300), true); return [p.x, p.y]; }"
    )
    box = page.locator(".viewer").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + spot[0], box["y"] + spot[1])
    page.wait_for_function("() => document.querySelector('.card.current').dataset.rank === '2'")
    assert page.locator("#context-title").inner_text() == "Region 2"


def test_a_slide_without_regions_can_be_looked_at(
    shared_server: Any, log_in: OpenPage, eventually: Eventually, page_of: SimpleNamespace
) -> None:
    page = log_in(shared_server)
    page.goto(shared_server.page("review#2"))
    page.wait_for_selector("h1")
    assert page.locator("h1").inner_text() == "S4 empty"
    assert "inadequate, not negative" in page.locator("#slide-head").inner_text()
    page.keyboard.press("o")
    page.wait_for_selector(".viewer")
    page_of.settle(page)
    assert page_of.centre_l0_px(page) == pytest.approx((1200, 900), abs=2)
    assert page.locator("#context .verdict").count() == 0
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("[")  # to a slide with regions, the viewer still open: it follows
    page.wait_for_function("() => document.getElementById('context-title').textContent === 'Region 1'")
    page_of.settle(page)
    assert page_of.centre_l0_px(page) == pytest.approx((700, 500), abs=2)
    page.keyboard.press("]")
    page.keyboard.press("]")  # to one that nothing can be shown of: no other may stand for it
    eventually(page.locator("h1").inner_text, "S3 broken")
    assert page.locator("#context[open]").count() == 0


def test_layers_are_drawn_where_the_scores_are(
    shared_server: Any, log_in: OpenPage, eventually: Eventually, page_of: SimpleNamespace
) -> None:
    page = log_in(shared_server)
    page_of.go(page, shared_server)
    page_of.open_viewer(page)
    page.uncheck('[data-layer="regions"]')

    def drawn() -> list[int]:
        return page.evaluate(
            "() => { const c = document.querySelector('.viewer .layers'), r = c.width / c.clientWidth;"
            "return [...c.getContext('2d').getImageData(c.clientWidth / 2 * r, c.clientHeight / 2 * r, 1, 1).data]; }"
        )

    page_of.settle(page)
    assert drawn()[3] == 0
    page.check('[data-layer="scores"]')
    page.wait_for_function("() => !document.querySelector('.heat-legend').hidden")
    eventually(lambda: drawn()[3] > 100, True)  # the region is the highest tile
    red, _, blue, _ = drawn()
    assert red > 150 > blue


@pytest.mark.parametrize("width", [360, 390, 600, 768, 1280, 1440, 1920])
def test_no_button_of_the_server_is_cut_covered_or_broken(
    shared_server: Any,
    log_in: OpenPage,
    page_of: SimpleNamespace,
    cut_buttons: Callable[["Page", str], list[str]],
    width: int,
) -> None:
    page = log_in(shared_server, size=(width, 844 if width < 700 else 1000))
    page.wait_for_selector("#rows tr")
    assert cut_buttons(page, "body") == []
    frame = page.locator(".table-frame").bounding_box()
    assert frame is not None
    for cell in page.locator("#rows td, #rows th").all():
        box = cell.bounding_box()
        assert box is None or box["x"] + box["width"] <= frame["x"] + frame["width"] + 1  # no column is cut
    page_of.go(page, shared_server)
    page_of.open_viewer(page)
    page.keyboard.press("m")
    page_of.kept(page)
    page.keyboard.press("ArrowLeft")
    page_of.settle(page)
    assert page.locator("#context .verdict:visible").count() == 9
    assert cut_buttons(page, "#context") == []
    page.keyboard.press("z")
    page_of.kept(page)


def test_layers_and_brightness_are_above_the_fold_and_stay_as_the_reader_left_them(
    shared_server: Any, log_in: OpenPage, page_of: SimpleNamespace
) -> None:
    page = log_in(shared_server)
    page_of.go(page, shared_server)
    page_of.open_viewer(page)
    page.check('[data-layer="scores"]')
    for part in ('[data-layer="scores"]', '[data-view="opacity"]', '[data-view="brightness"]'):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900
    page.locator('[data-view="opacity"]').fill("40")
    page.reload()
    page.wait_for_selector("#context[open]")  # the address leads back to the region
    assert page.is_checked('[data-layer="scores"]')
    assert page.locator('[data-view="opacity"]').input_value() == "40"
    page.uncheck('[data-layer="scores"]')


def test_layers_lie_below_the_small_map(
    shared_server: Any, log_in: OpenPage, page_of: SimpleNamespace
) -> None:
    page = log_in(shared_server)
    page_of.go(page, shared_server)
    page_of.open_viewer(page)
    assert page.evaluate(
        """() => { const map = document.querySelector('.viewer .navigator').getBoundingClientRect();
        const top = document.elementsFromPoint(map.left + map.width / 2, map.top + map.height / 2);
        const canvas = document.querySelector('.viewer .layers');
        canvas.style.pointerEvents = 'auto';
        const all = document.elementsFromPoint(map.left + map.width / 2, map.top + map.height / 2);
        canvas.style.pointerEvents = '';
        return top.length > 0 && all.indexOf(canvas) > all.findIndex((node) => node.closest('.navigator')); }"""
    )


def test_a_saved_view_has_its_pixels_a_scale_bar_and_where_it_comes_from(
    shared_server: Any, log_in: OpenPage, page_of: SimpleNamespace
) -> None:
    page = log_in(shared_server)
    page_of.go(page, shared_server)
    page_of.open_viewer(page)
    with page.expect_download() as download:
        page.click("text=Save image")
    assert download.value.suggested_filename.endswith("-region-1.png")
    image = np.asarray(Image.open(download.value.path()).convert("RGB")).astype(int)
    box = page.locator(".viewer").bounding_box()
    assert box is not None
    assert image.shape[1] == round(box["width"])
    assert image.shape[0] > box["height"] + 40  # the caption
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB")).astype(int)
    middle = slice(shot.shape[0] // 2 - 40, shot.shape[0] // 2 + 40)
    assert np.abs(image[middle] - shot[middle]).mean() < 3
    caption = image[round(box["height"]) :]
    assert 0.002 < (caption.max(axis=2) < 100).mean() < 0.2  # letters on white


def test_nuclei_as_outlined_lie_on_the_slide_where_it_is_zoomed_and_turned(
    shared_server: Any, log_in: OpenPage, page_of: SimpleNamespace
) -> None:
    """A rectangle over the region's middle; where it must be on the screen says OpenSeadragon itself."""
    page = log_in(shared_server)
    page_of.go(page, shared_server)
    page.evaluate(
        "() => { for (const region of Inkdot.facts.slides.flatMap((slide) => slide.regions ?? []))"
        " region.cluster = { nuclei: 8, measured_nuclei: 1, measures: {}, others: 0, flagged_others: 0, group_nuclei: 8,"
        " reservations: [],"
        " outlines: { corner_l0_px: [550, 350], measured: [[100, 100, 200, 100, 200, 180, 100, 180]], cut: [] } }; }"
    )
    page_of.open_viewer(page)
    page.uncheck('[data-layer="regions"]')
    assert page.locator('[data-tool="nuclei"]').get_attribute("aria-pressed") == "false"
    page.keyboard.press("e")
    look = (
        "() => { const view = Inkdot.placeView.view(), canvas = view.canvases()[1], ratio = window.devicePixelRatio || 1;"
        " const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, found = [];"
        " for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && data[i + 1] - data[i] > 100)"
        " found.push([(i / 4) % canvas.width / ratio, Math.floor(i / 4 / canvas.width) / ratio]);"
        " const item = view.seadragon.world.getItemAt(0);"
        " const at = view.seadragon.viewport.pixelFromPoint(item.imageToViewportCoordinates(700, 490), true);"
        " const mean = (axis) => found.reduce((sum, one) => sum + one[axis], 0) / found.length;"
        " return [found.length, found.length ? [mean(0), mean(1)] : null, [at.x, at.y]]; }"
    )
    for keys in (["4"], ["2"], [".", "."]):
        for key in keys:
            page.keyboard.press(key)
        page_of.settle(page)
        page.wait_for_timeout(700)
        count, middle, expected = page.evaluate(look)
        assert count > 50
        assert middle == pytest.approx(expected, abs=1.5)
    page.keyboard.press("e")
    page.wait_for_timeout(300)
    assert page.evaluate(look)[0] == 0
