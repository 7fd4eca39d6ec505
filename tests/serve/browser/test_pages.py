"""The served pages in a real browser, against a server in a process of its own."""

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from inkdot.storage.verdict_store import read_verdict_store

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WAIT_SECONDS = 90
Eventually = Callable[[Callable[[], object], object], None]
OpenPage = Callable[..., "Page"]


def test_the_worklist_is_sorted_by_priority_and_links_to_slides(
    shared_server: Any, log_in: OpenPage, truth: SimpleNamespace, eventually: Eventually
) -> None:
    page = log_in(shared_server)
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


def test_names_and_warnings_are_text(
    shared_server: Any, log_in: OpenPage, truth: SimpleNamespace, page_of: SimpleNamespace
) -> None:
    page = log_in(shared_server)
    page.wait_for_selector("#rows tr")
    assert truth.warning in page.locator("#rows tr").first.inner_text()
    page_of.go(page, shared_server)
    assert page.locator("h1").inner_text() == truth.name
    assert page.locator(".warnings li").first.inner_text() == truth.warning
    page_of.open_viewer(page)
    page.keyboard.press("n")
    page.fill("#note", "<img src=x onerror=alert(1)>")
    page.keyboard.press("Escape")
    page_of.kept(page)
    page.reload()
    page.wait_for_selector(".card .note")
    assert page.locator(".card .note").inner_text() == "<img src=x onerror=alert(1)>"
    assert page.locator("img[src='x']").count() == 0
    assert "owned" not in page.title()


def test_regions_are_fetched_when_a_slide_is_opened(
    server: Any, log_in: OpenPage, page_of: SimpleNamespace
) -> None:
    """Undo returns to a slide that this page never opened; without the server an alert says that regions are missing."""
    page = log_in(server)
    page_of.go(page, server)
    page.keyboard.press("m")
    page_of.kept(page)
    clean = page.evaluate("() => Inkdot.facts.slides.findIndex((slide) => slide.id === 'S2 clean')")
    page_of.go(page, server, f"review#{clean + 1}")
    page.reload()
    page.wait_for_selector(".card")
    assert page.locator("h1").inner_text() == "S2 clean"
    known = "() => Inkdot.facts.slides.map((slide) => slide.known === true)"
    assert page.evaluate(known)[0] is False
    page.route("**/regions", lambda route: route.abort())
    page.keyboard.press("z")
    page.wait_for_selector("#alert:not([hidden])")
    assert "could not be loaded" in page.locator("#alert").inner_text()
    assert page.locator("h1").inner_text() == "S2 clean"
    page.unroute("**/regions")
    page.locator("#slides button").first.click()
    page.wait_for_selector('.card[data-rank="4"]')
    assert page_of.pressed(page, 1) == []  # taken back, though its slide was not there to be seen
    assert page.locator("#slides .done").first.inner_text() == "0/4"


def test_two_readers_at_once_see_their_own_verdicts_alone(
    server: Any, log_in: OpenPage, page_of: SimpleNamespace
) -> None:
    first, second = (log_in(server, reader) for reader in ("dr-a", "dr-b"))
    for page in (first, second):
        page_of.go(page, server)
    for keys in (("m", "b"), ("l", "u")):
        first.keyboard.press(keys[0])
        second.keyboard.press(keys[1])
    for page in (first, second):
        page_of.kept(page)
        page.reload()
        page.wait_for_selector(".card")
    assert (page_of.pressed(first, 1), page_of.pressed(first, 2)) == (["malignant", "large_cell"], [])
    assert (page_of.pressed(second, 1), page_of.pressed(second, 2)) == (["benign"], ["unsure"])
    assert first.input_value("#reader") == "dr-a"
    with second.expect_download() as download:
        second.click("#save")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    assert [(row["reader"], row["verdict"]) for row in rows] == [("dr-b", "benign"), ("dr-b", "unsure")]


def test_a_killed_server_loses_nothing_and_pages_send_what_it_missed(
    server: Any, log_in: OpenPage, page_of: SimpleNamespace
) -> None:
    pages = [log_in(server, reader) for reader in ("dr-a", "dr-b")]
    for page in pages:
        page_of.go(page, server)
        page.keyboard.press("b")
        page.keyboard.press("a")
        page_of.kept(page)
    server.kill()
    found = read_verdict_store(server.results.reviews_sqlite)
    assert [(change.reader, change.rank) for change in found] == [
        ("dr-a", 1),
        ("dr-b", 1),
        ("dr-a", 2),
        ("dr-b", 2),
    ]
    pages[0].keyboard.press("u")  # nobody is there to take it
    pages[0].wait_for_selector("#alert:not([hidden])")
    assert "not saved yet" in pages[0].locator("#alert").inner_text()
    server.start()
    page_of.kept(pages[0])
    assert pages[0].locator("#alert").is_hidden()
    pages[0].keyboard.press("z")  # undo reaches back over it
    pages[0].keyboard.press("z")
    page_of.kept(pages[0])
    pages[0].reload()  # the same tokens: nobody logs in again
    pages[0].wait_for_selector(".card")
    assert [page_of.pressed(pages[0], rank) for rank in (1, 2, 3)] == [["benign"], [], []]
    pages[0].keyboard.press("z")  # and over the visit
    page_of.kept(pages[0])
    assert page_of.pressed(pages[0], 1) == []


def test_an_unfinished_note_is_saved_when_the_page_closes(
    server: Any, log_in: OpenPage, page_of: SimpleNamespace
) -> None:
    asked: list[str] = []

    def leave(dialog: "Dialog") -> None:
        """The browser asks whether to leave, since something is on its way; meanwhile it arrives."""
        asked.append(dialog.type)
        until = time.monotonic() + WAIT_SECONDS
        while not read_verdict_store(server.results.root / "reviews.sqlite"):
            assert time.monotonic() < until
            time.sleep(0.1)
        dialog.accept()

    page = log_in(server)
    page.on("dialog", leave)
    page_of.go(page, server)
    page.keyboard.press("n")
    page.keyboard.type("crush artefact?")
    page.reload()
    page.wait_for_selector(".card")
    assert asked == ["beforeunload"]
    assert page.locator(".card .note").all_inner_texts() == ["crush artefact?"]


def test_logout_without_a_server_is_reported(server: Any, log_in: OpenPage, eventually: Eventually) -> None:
    page = log_in(server)
    page.wait_for_selector("#rows tr")
    server.kill()
    page.click("#logout")
    eventually(lambda: "does not respond" in page.locator("#status").inner_text(), True)


def test_a_verdict_that_is_refused_is_reported(
    server: Any, log_in: OpenPage, page_of: SimpleNamespace
) -> None:
    page = log_in(server)
    page_of.go(page, server)
    page.evaluate("() => { Inkdot.facts.slides[0].regions[0].key = 'nowhere'; }")
    page.keyboard.press("b")
    page.wait_for_selector("#alert:not([hidden])")
    page.keyboard.press("a")
    page_of.kept(page)
    assert "a region or slide of this review. Reload this page" in page.locator("#alert").inner_text()


def test_login_refuses_a_wrong_token_and_accepts_a_right_one(
    shared_server: Any, log_in: OpenPage, eventually: Eventually
) -> None:
    page = log_in(shared_server)
    page.click("#logout")
    page.wait_for_selector("#token")
    page.goto(shared_server.page("review"))
    page.wait_for_selector("#token")
    page.fill("#token", "nonsense")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]:not([hidden])")
    page.fill("#token", shared_server.address("dr-b").partition("token=")[2])
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows tr")
    eventually(page.locator("#who").inner_text, "dr-b")


@pytest.mark.parametrize("size", [(1440, 900), (768, 1024)], ids=["laptop", "tablet"])
def test_axe_finds_no_serious_violation_and_nothing_overflows(
    shared_server: Any, log_in: OpenPage, size: tuple[int, int], page_of: SimpleNamespace
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = log_in(shared_server, size=size)
    page.emulate_media(reduced_motion="reduce")  # a message half faded in has too little contrast
    page.wait_for_selector("#rows tr")
    faults = found_by(Axe(), page)
    page_of.go(page, shared_server)
    faults += found_by(Axe(), page)
    page_of.open_viewer(page)
    faults += found_by(Axe(), page)
    page.goto(shared_server.page("login"))
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
