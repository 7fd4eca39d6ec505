"""Shared by all tests: real slides, a browser, skips that CI refuses, and the distribution over processes."""

import importlib.util
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

if "PYTEST_XDIST_WORKER" in os.environ:
    # One test process per core: more threads of each, and of the programs it starts, would only wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOCAL_ADDRESS = re.compile(r"(file|data|blob|about):|https?://(localhost|127\.0\.0\.1)[:/]")
DEMAND_VARIABLE = "INKDOT_DEMAND"
DEMANDABLE = ("slow", "browser", "ray", "real_data")
SETTLES_WITHIN_SECONDS = 60  # far more than any page needs: only a busy machine comes near it


def shared_data() -> Path:
    """Return the folder of real slides, whether it exists or not."""
    named = os.environ.get("INKDOT_SHARED_DATA")
    return Path(named) if named else REPOSITORY.parent / "shared" / "data"


def chromium() -> str | None:
    """Return the path of an installed chromium, or None."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


def reason_to_skip(marker: str) -> str | None:
    """Say in one line why tests with this marker cannot run here, or return None."""
    if marker == "real_data" and not shared_data().is_dir():
        return f"no real slides: {shared_data()} is missing (INKDOT_SHARED_DATA names another folder)"
    if marker == "browser":
        if chromium() is None:
            return f"no browser: none of {', '.join(CHROMIUM_NAMES)} is on the PATH"
        if importlib.util.find_spec("playwright") is None:
            return "no playwright in this environment"
    if marker == "ray" and importlib.util.find_spec("ray") is None:
        return "no ray in this environment"
    return None


def demanded() -> frozenset[str]:
    """Return the markers named in INKDOT_DEMAND: their tests must run, a skip is a failure."""
    names = frozenset(name.strip() for name in os.environ.get(DEMAND_VARIABLE, "").split(",") if name.strip())
    unknown = names.difference(DEMANDABLE)
    if unknown:
        raise pytest.UsageError(
            f"{DEMAND_VARIABLE} names {sorted(unknown)}; expected some of {', '.join(DEMANDABLE)}."
        )
    return names


def pytest_configure(config: pytest.Config) -> None:
    demanded()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Files of long tests first: one that starts last would run alone. Tests of one file stay together.
    seconds: Counter[Path] = Counter()
    for item in items:
        limit = item.get_closest_marker("timeout")
        seconds[item.path] += int(limit.args[0]) if limit is not None and limit.args else 0
    items.sort(key=lambda item: -seconds[item.path])
    for marker in DEMANDABLE:
        reason = reason_to_skip(marker)
        if reason is None:
            continue
        for item in items:
            if item.get_closest_marker(marker) is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where the test's marker is demanded."""
    report = yield
    required = sorted(marker for marker in demanded() if item.get_closest_marker(marker) is not None)
    if report.skipped and required and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{DEMAND_VARIABLE} demands the tests marked {', '.join(required)}, but: {reason}"
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """One file to one process, so that its fixtures are made once; all tests that start Ray to the same process."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "ray" if "/test_ray_" in file else file

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real slides; mark the test with `real_data` so that it is skipped where it is missing."""
    return shared_data()


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """An installed chromium for playwright's `executable_path`; mark the test with `browser`."""
    path = chromium()
    assert path is not None, "mark the test with `browser`, then it is skipped where there is no chromium"
    return path


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> "Generator[Browser]":
    """A started chromium; mark the test with `browser`."""
    from playwright.sync_api import sync_playwright

    # Root may not use chromium's sandbox, and CI containers run as root.
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium_path, args=arguments)
        yield started
        started.close()


@pytest.fixture
def offline_page(browser: "Browser") -> "Generator[Page]":
    """A page that may open files and this machine's own server; the test fails if it uses the network or has an error."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(SETTLES_WITHIN_SECONDS * 1000)
    errors: list[str] = []

    def local_only(route: "Route") -> None:
        if LOCAL_ADDRESS.match(route.request.url):
            route.continue_()
        else:
            errors.append(f"requested from the network: {route.request.url}")
            route.abort()

    page.route("**/*", local_only)
    page.on("pageerror", lambda error: errors.append(f"script error: {error}"))
    page.on(
        "console",
        lambda line: (
            errors.append(f"console: {line.text} ({line.location['url']})") if line.type == "error" else None
        ),
    )
    yield page
    page.close()
    assert errors == []


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], object], object], None]:
    """Assert what a page (or another process) comes to show, which it may not yet show at this moment."""

    def settles(read: Callable[[], object], expected: object) -> None:
        until = time.monotonic() + SETTLES_WITHIN_SECONDS
        while (found := read()) != expected and time.monotonic() < until:
            time.sleep(0.02)
        assert found == expected

    return settles


@pytest.fixture(scope="session")
def inkdot_command() -> list[str]:
    """The program as people start it, in the environment that runs the tests."""
    beside = Path(sys.executable).parent / ("inkdot.exe" if os.name == "nt" else "inkdot")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "inkdot"]


# Marks on an overview lie where their regions are, also on each other.
CUT_BUTTONS = """(within) => {
  const faults = [];
  const words = (button) => {
    const texts = document.createTreeWalker(button, NodeFilter.SHOW_TEXT), found = [];
    for (let node = texts.nextNode(); node; node = texts.nextNode())
      for (const match of node.data.matchAll(/\\S+/g)) found.push([node, match.index, match[0]]);
    return found;
  };
  for (const button of document.querySelectorAll(`${within} button:not(.spot)`)) {
    if (!button.checkVisibility()) continue;
    const name = button.getAttribute("aria-label") ?? button.innerText;
    button.scrollIntoView({ block: "center" });
    const box = button.getBoundingClientRect();
    if (box.left < -0.5 || box.top < -0.5 || box.right > innerWidth + 0.5 || box.bottom > innerHeight + 0.5)
      faults.push(`${name}: outside`);
    const inside = [0.1, 0.5, 0.9].flatMap((x) => [0.2, 0.8].map((y) => [box.left + x * box.width, box.top + y * box.height]));
    const over = inside.map(([x, y]) => document.elementFromPoint(x, y)).filter((top) => top !== null && !button.contains(top));
    if (over.length > 0 && !button.disabled) faults.push(`${name}: under ${over[0].tagName}.${over[0].className}`);
    if (button.scrollWidth > button.clientWidth + 1 || button.scrollHeight > button.clientHeight + 1)
      faults.push(`${name}: its text overflows`);
    for (const [node, start, word] of words(button)) {
      const range = document.createRange();
      range.setStart(node, start);
      range.setEnd(node, start + word.length);
      if (range.getClientRects().length > 1) faults.push(`${name}: ${word} is broken`);
    }
  }
  return faults;
}"""


@pytest.fixture(scope="session")
def cut_buttons() -> Callable[["Page", str], list[str]]:
    """Buttons below a selector that are cut, covered, or have a broken word; each is scrolled to first."""

    def found(page: "Page", within: str) -> list[str]:
        return page.evaluate(CUT_BUTTONS, within)

    return found
