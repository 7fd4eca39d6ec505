"""A server in a process of its own, logged-in browsers, and helpers for their pages."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from inkdot.storage.layout import RunLayout

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STARTED = "Stop with Ctrl+C"
WAIT_SECONDS = 90
OpenPage = Callable[..., "Page"]


class Server:
    """`inkdot review serve` as people start it."""

    def __init__(self, command: list[str], results: RunLayout) -> None:
        self._command, self.results = command, results
        self._log = results.root.parent / "server.log"
        self.port = 0

    def start(self, *more: str) -> "Server":
        fixed = [
            "--results",
            str(self.results.root),
            "--tokens",
            str(self.results.root.parent / "tokens.csv"),
        ]
        readers = ["--reader", "dr-a", "--reader", "dr-b"]
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [*self._command, "review", "serve", *fixed, *readers, "--port", str(self.port), *more],
                stdout=log,
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
        return self._log.read_text(encoding="utf-8")

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
def shared_server(
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


@pytest.fixture
def log_in(browser: "Browser") -> Iterator[OpenPage]:
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
    return page.locator(f'.card[data-rank="{rank}"] .verdict[aria-pressed="true"]').evaluate_all(
        "(buttons) => buttons.map((button) => button.dataset.verdict)"
    )


def centre_l0_px(page: "Page") -> tuple[float, float]:
    return tuple(
        page.evaluate(
            "() => { const s = Inkdot.seadragon, p = s.world.getItemAt(0)"
            ".viewportToImageCoordinates(s.viewport.getCenter(true)); return [p.x, p.y]; }"
        )
    )  # type: ignore[return-value]


@pytest.fixture(scope="session")
def page_of() -> SimpleNamespace:
    """Actions on a page, and what it shows."""
    actions = (go, open_viewer, settle, kept, pressed, centre_l0_px)
    return SimpleNamespace(**{action.__name__: action for action in actions})
