"""The served pages in a real browser, against a server in a process of its own."""

import csv
import io
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from inkdot.artefacts.layout import RunLayout
from inkdot.artefacts.review_answers import read_review_answers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

STARTED = "Stop with Ctrl+C"
WAIT_SECONDS = 90
Eventually = Callable[[Callable[[], object], object], None]


class Server:
    """`inkdot review serve` as people start it."""

    def __init__(self, command: list[str], results: RunLayout) -> None:
        self._command, self.results = command, results
        self._said = results.root.parent / "said.txt"
        self.port = 0

    def start(self, *more: str) -> "Server":
        fixed = [
            "--results",
            str(self.results.root),
            "--tokens",
            str(self.results.root.parent / "tokens.csv"),
        ]
        readers = ["--reader", "dr-a", "--reader", "dr-b"]
        with self._said.open("w", encoding="utf-8") as said:
            self._process = subprocess.Popen(
                [*self._command, "review", "serve", *fixed, *readers, "--port", str(self.port), *more],
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, "NO_COLOR": "1"},
            )
        until = time.monotonic() + WAIT_SECONDS
        while STARTED not in self._text:
            assert self._process.poll() is None, self._text
            assert time.monotonic() < until, self._text
            time.sleep(0.1)
        self.port = int(re.search(r":(\d+)/login", self._text)[1])  # type: ignore[index]
        return self

    @property
    def _text(self) -> str:
        return self._said.read_text(encoding="utf-8")

    def address(self, reader: str) -> str:
        """What was printed for a reader."""
        return re.search(rf"^{reader}: (\S+)$", self._text, re.MULTILINE)[1]  # type: ignore[index]

    def page(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def kill(self) -> None:
        """What a power cut does to it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@pytest.fixture(scope="module")
def standing(
    inkdot_command: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    truth: SimpleNamespace,
    slide_file: Path,
) -> Iterator[Server]:
    """A server for the tests that leave it as it was."""
    root = tmp_path_factory.mktemp("served")
    results = truth.make_results(root, lambda path: path.hardlink_to(slide_file))
    server = Server(inkdot_command, results).start()
    yield server
    server.kill()


@pytest.fixture
def server(inkdot_command: list[str], results: RunLayout) -> Iterator[Server]:
    """A server that a test may kill."""
    started = Server(inkdot_command, results).start()
    yield started
    started.kill()


OpenPage = Callable[..., "Page"]


@pytest.fixture
def come_in(browser: "Browser") -> Iterator[OpenPage]:
    """A browser of their own for a reader; the test fails on any script error, policy breach or foreign request."""
    wrong: list[str] = []
    contexts: list[Any] = []

    def opened(server: Server, reader: str = "dr-a", size: tuple[int, int] = (1440, 900)) -> "Page":
        context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_SECONDS * 1000)
        page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
        page.on("console", lambda line: wrong.append(line.text) if "Content Security" in line.text else None)
        own = f"http://127.0.0.1:{server.port}/"
        page.on("request", lambda one: None if one.url.startswith((own, "blob:")) else wrong.append(one.url))
        page.goto(server.address(reader))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def go(page: "Page", server: Server, name: str = "review#1") -> None:
    page.goto(server.page(name))
    page.wait_for_selector(".card")


def open_viewer(page: "Page") -> None:
    page.keyboard.press("Enter")
    settle(page)


def settle(page: "Page") -> None:
    """Wait until the viewer stands still with every tile there, for some frames on end: what was asked is then drawn."""
    page.evaluate("() => { window.stillFrames = 0; }")
    page.wait_for_function(
        """() => { const s = Inkdot.seadragon, i = s && s.world.getItemAt(0);
        const still = i && i.getFullyLoaded() && s.viewport.getZoom(true) === s.viewport.getZoom(false)
          && s.viewport.getCenter(true).equals(s.viewport.getCenter(false));
        window.stillFrames = still ? window.stillFrames + 1 : 0;
        return window.stillFrames > 3; }""",
        polling="raf",
    )


def kept(page: "Page") -> None:
    """Wait until nothing is on its way to the server."""
    page.wait_for_function("() => !Inkdot.store.unsaved()")


def pressed(page: "Page", rank: int) -> list[str]:
    return page.locator(f'.card[data-rank="{rank}"] .answer[aria-pressed="true"]').evaluate_all(
        "(buttons) => buttons.map((button) => button.dataset.answer)"
    )


def centre_l0_px(page: "Page") -> tuple[float, float]:
    return tuple(
        page.evaluate(
            "() => { const s = Inkdot.seadragon, p = s.world.getItemAt(0)"
            ".viewportToImageCoordinates(s.viewport.getCenter(true)); return [p.x, p.y]; }"
        )
    )  # type: ignore[return-value]


def test_the_worklist_leads_to_the_slide_to_look_at_first(
    standing: Server, come_in: OpenPage, truth: SimpleNamespace, eventually: Eventually
) -> None:
    page = come_in(standing)
    page.wait_for_selector("#rows tr")
    assert "token" not in page.url
    assert page.locator("#rows .slide-link").all_inner_texts()[0] == truth.name
    assert page.locator("#rows .call").all_inner_texts() == [
        "flagged",
        "inadequate",
        "not analysed",
        "nothing flagged",
    ]
    page.keyboard.press("/")
    page.keyboard.type("s2")
    eventually(page.locator("#rows .slide-link").all_inner_texts, ["S2 clean"])
    page.click("#rows .slide-link")
    page.wait_for_selector(".card")
    eventually(page.locator("h1").inner_text, "S2 clean")


def test_names_and_warnings_are_text(standing: Server, come_in: OpenPage, truth: SimpleNamespace) -> None:
    page = come_in(standing)
    page.wait_for_selector("#rows tr")
    assert truth.warning in page.locator("#rows tr").first.inner_text()
    go(page, standing)
    assert page.locator("h1").inner_text() == truth.name
    assert page.locator(".warnings li").first.inner_text() == truth.warning
    open_viewer(page)
    page.keyboard.press("n")
    page.fill("#note", "<img src=x onerror=alert(1)>")
    page.keyboard.press("Escape")
    kept(page)
    page.reload()
    page.wait_for_selector(".card .note")
    assert page.locator(".card .note").inner_text() == "<img src=x onerror=alert(1)>"
    assert page.locator("img[src='x']").count() == 0
    assert "owned" not in page.title()


def test_the_scale_bar_tells_the_truth(standing: Server, come_in: OpenPage, truth: SimpleNamespace) -> None:
    """Two bars on the slide lie 200 µm apart; the scale bar measures them on a screenshot, at three zooms."""
    page = come_in(standing)
    go(page, standing)
    open_viewer(page)
    page.uncheck('[data-layer="places"]')
    left, right = truth.bars_x_l0_px
    for width_l0_px in (1100, 550, 620):  # the second at twice the zoom of the first
        page.evaluate(
            "([x, w]) => { const s = Inkdot.seadragon; s.viewport.fitBounds(s.world.getItemAt(0)"
            ".imageToViewportRectangle(x - w / 2, 900 - w / 4, w, w / 2), true); }",
            [(left + right) / 2, width_l0_px],
        )
        settle(page)
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
    standing: Server, come_in: OpenPage
) -> None:
    page = come_in(standing)
    go(page, standing)
    page.click('.card[data-rank="2"] .open')
    settle(page)
    assert page.locator("#context-title").inner_text() == "Place 2"
    assert centre_l0_px(page) == pytest.approx((1700, 1300), abs=2)
    page.keyboard.press("ArrowLeft")
    settle(page)
    assert centre_l0_px(page) == pytest.approx((700, 500), abs=2)
    assert page.locator(".card.current").get_attribute("data-rank") == "1"
    page.keyboard.press("o")  # the whole slide
    settle(page)
    spot = page.evaluate(
        "() => { const s = Inkdot.seadragon, i = s.world.getItemAt(0);"
        "const p = s.viewport.pixelFromPoint(i.imageToViewportCoordinates(1700, 1300), true); return [p.x, p.y]; }"
    )
    box = page.locator(".viewer").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + spot[0], box["y"] + spot[1])
    page.wait_for_function("() => document.querySelector('.card.current').dataset.rank === '2'")
    assert page.locator("#context-title").inner_text() == "Place 2"


def test_a_slide_without_places_can_be_looked_at(
    standing: Server, come_in: OpenPage, eventually: Eventually
) -> None:
    page = come_in(standing)
    page.goto(standing.page("review#2"))
    page.wait_for_selector("h1")
    assert page.locator("h1").inner_text() == "S4 empty"
    assert "inadequate, not negative" in page.locator("#slide-head").inner_text()
    page.keyboard.press("o")
    page.wait_for_selector(".viewer")
    settle(page)
    assert centre_l0_px(page) == pytest.approx((1200, 900), abs=2)
    assert page.locator("#context .answer").count() == 0
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("[")  # to a slide with places, the viewer still open: it follows
    page.wait_for_function("() => document.getElementById('context-title').textContent === 'Place 1'")
    settle(page)
    assert centre_l0_px(page) == pytest.approx((700, 500), abs=2)
    page.keyboard.press("]")
    page.keyboard.press("]")  # to one that nothing can be shown of: no other may stand for it
    eventually(page.locator("h1").inner_text, "S3 broken")
    assert page.locator("#context[open]").count() == 0


def test_layers_are_drawn_where_the_scores_are(
    standing: Server, come_in: OpenPage, eventually: Eventually
) -> None:
    page = come_in(standing)
    go(page, standing)
    open_viewer(page)
    page.uncheck('[data-layer="places"]')

    def drawn() -> list[int]:
        return page.evaluate(
            "() => { const c = document.querySelector('.viewer .layers'), r = c.width / c.clientWidth;"
            "return [...c.getContext('2d').getImageData(c.clientWidth / 2 * r, c.clientHeight / 2 * r, 1, 1).data]; }"
        )

    settle(page)
    assert drawn()[3] == 0
    page.check('[data-layer="scores"]')
    page.wait_for_function("() => !document.querySelector('.heat-legend').hidden")
    eventually(lambda: drawn()[3] > 100, True)  # the place is the highest tile
    red, _, blue, _ = drawn()
    assert red > 150 > blue


def test_places_come_when_a_slide_is_opened(server: Server, come_in: OpenPage) -> None:
    """Undo leads back to a slide that this page never opened; without the server it says that the places did not come."""
    page = come_in(server)
    go(page, server)
    page.keyboard.press("m")
    kept(page)
    clean = page.evaluate("() => Inkdot.facts.slides.findIndex((slide) => slide.id === 'S2 clean')")
    go(page, server, f"review#{clean + 1}")
    page.reload()
    page.wait_for_selector(".card")
    assert page.locator("h1").inner_text() == "S2 clean"
    known = "() => Inkdot.facts.slides.map((slide) => slide.known === true)"
    assert page.evaluate(known)[0] is False
    page.route("**/places", lambda route: route.abort())
    page.keyboard.press("z")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "did not come" in page.locator("#trouble").inner_text()
    assert page.locator("h1").inner_text() == "S2 clean"
    page.unroute("**/places")
    page.locator("#slides button").first.click()
    page.wait_for_selector('.card[data-rank="4"]')
    assert pressed(page, 1) == []  # taken back, though its slide was not there to be seen
    assert page.locator("#slides .done").first.inner_text() == "0/4"


def test_two_readers_at_once_see_their_own_answers_alone(server: Server, come_in: OpenPage) -> None:
    first, second = (come_in(server, reader) for reader in ("dr-a", "dr-b"))
    for page in (first, second):
        go(page, server)
    for keys in (("m", "b"), ("l", "u")):
        first.keyboard.press(keys[0])
        second.keyboard.press(keys[1])
    for page in (first, second):
        kept(page)
        page.reload()
        page.wait_for_selector(".card")
    assert (pressed(first, 1), pressed(first, 2)) == (["malignant", "large_cell"], [])
    assert (pressed(second, 1), pressed(second, 2)) == (["benign"], ["unsure"])
    assert first.input_value("#reader") == "dr-a"
    with second.expect_download() as download:
        second.click("#save")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    assert [(row["reader"], row["answer"]) for row in rows] == [("dr-b", "benign"), ("dr-b", "unsure")]


def test_a_killed_server_loses_nothing_and_pages_send_what_it_missed(
    server: Server, come_in: OpenPage
) -> None:
    pages = [come_in(server, reader) for reader in ("dr-a", "dr-b")]
    for page in pages:
        go(page, server)
        page.keyboard.press("b")
        page.keyboard.press("a")
        kept(page)
    server.kill()
    found = read_review_answers(server.results.reviews_sqlite)
    assert [(change.reader, change.rank) for change in found] == [
        ("dr-a", 1),
        ("dr-b", 1),
        ("dr-a", 2),
        ("dr-b", 2),
    ]
    pages[0].keyboard.press("u")  # nobody is there to take it
    pages[0].wait_for_selector("#trouble:not([hidden])")
    assert "not kept yet" in pages[0].locator("#trouble").inner_text()
    server.start()
    kept(pages[0])
    assert pages[0].locator("#trouble").is_hidden()
    pages[0].keyboard.press("z")  # undo reaches back over it
    pages[0].keyboard.press("z")
    kept(pages[0])
    pages[0].reload()  # the same tokens: nobody logs in again
    pages[0].wait_for_selector(".card")
    assert [pressed(pages[0], rank) for rank in (1, 2, 3)] == [["benign"], [], []]
    pages[0].keyboard.press("z")  # and over the visit
    kept(pages[0])
    assert pressed(pages[0], 1) == []


def test_an_answer_that_is_refused_is_said_to_be(server: Server, come_in: OpenPage) -> None:
    page = come_in(server)
    go(page, server)
    page.evaluate("() => { Inkdot.facts.slides[0].places[0].key = 'nowhere'; }")
    page.keyboard.press("b")
    page.wait_for_selector("#trouble:not([hidden])")
    page.keyboard.press("a")
    kept(page)
    assert "a place of this review. Load this page again" in page.locator("#trouble").inner_text()


def test_the_door_refuses_and_admits(standing: Server, come_in: OpenPage, eventually: Eventually) -> None:
    page = come_in(standing)
    page.click("#leave")
    page.wait_for_selector("#token")
    page.goto(standing.page("review"))
    page.wait_for_selector("#token")
    page.fill("#token", "nonsense")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]:not([hidden])")
    page.fill("#token", standing.address("dr-b").partition("token=")[2])
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows tr")
    eventually(page.locator("#who").inner_text, "dr-b")


@pytest.mark.parametrize("size", [(1440, 900), (768, 1024)], ids=["laptop", "tablet"])
def test_axe_finds_no_serious_fault_and_nothing_sticks_out(
    standing: Server, come_in: OpenPage, size: tuple[int, int]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = come_in(standing, size=size)
    page.emulate_media(reduced_motion="reduce")  # a message half faded in has too little contrast
    page.wait_for_selector("#rows tr")
    faults = found_by(Axe(), page)
    go(page, standing)
    faults += found_by(Axe(), page)
    open_viewer(page)
    faults += found_by(Axe(), page)
    page.goto(standing.page("login"))
    faults += found_by(Axe(), page)
    assert faults == []


def found_by(axe: Any, page: "Page") -> list[str]:
    """Serious faults, and a page that is wider than its window."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url
    violations = axe.run(page).response["violations"]
    return [
        f"{page.url}: {fault['id']}: {[node['html'][:120] for node in fault['nodes'][:3]]}"
        for fault in violations
        if fault["impact"] in {"serious", "critical"}
    ]
