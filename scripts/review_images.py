"""Images of the review pages for the documents: `review_images.py RESULTS [--out docs/images]`.

Exports the gallery of a results folder, starts `inkdot review serve` on it, gives some verdicts (in a separate file),
and takes screenshots of the pages in an installed chromium. The page of a report is drawn from its PDF.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pypdfium2
from playwright.sync_api import Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WAIT_SECONDS = 120
STILL = """() => { const s = Inkdot.seadragon, i = s && s.world.getItemAt(0);
    return i && i.getFullyLoaded() && s.viewport.getZoom(true) === s.viewport.getZoom(false); }"""


def inkdot() -> str:
    """The program that belongs to this Python."""
    return str(Path(sys.executable).parent / "inkdot")


def exported(results: Path, out: Path) -> str:
    """Export the gallery; returns its address."""
    # Slides that could not be shown make the command fail; the page is written all the same.
    subprocess.run([inkdot(), "review", "export", "--results", str(results), "--out", str(out)], check=False)
    return (out / "index.html").resolve().as_uri()


def started(results: Path, verdicts: Path, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the server; returns it and the reader's address."""
    command = [inkdot(), "review", "serve", "--results", str(results)]
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [*command, "--verdicts", str(verdicts), "--reader", "dr-a", "--port", "0"],
            stdout=file,
            stderr=file,
        )
    until = time.monotonic() + WAIT_SECONDS
    while "Stop with" not in (text := log.read_text(encoding="utf-8")):
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise SystemExit(f"expected a running server, found: {text}")
        time.sleep(0.2)
    found = re.search(r"dr-a: (\S+)", text)
    assert found is not None
    return process, found[1]


def shoot_gallery(page: Page, address: str, out: Path) -> None:
    """The exported gallery."""
    page.goto(address)
    page.wait_for_selector(".card")
    page.fill("#reader", "dr-a")
    page.locator("#reader").blur()
    page.wait_for_timeout(1000)  # images
    page.screenshot(path=out / "gallery.jpg", type="jpeg", quality=72)
    print(out / "gallery.jpg")


def shoot_served_pages(page: Page, address: str, out: Path) -> None:
    """Worklist, viewer at a region, and the whole slide with its layers."""

    def shoot(name: str) -> None:
        page.wait_for_timeout(4000)  # the status message fades
        page.screenshot(path=out / f"server-{name}.jpg", type="jpeg", quality=72)
        print(out / f"server-{name}.jpg")

    page.goto(address)
    page.goto(page.url + "review")
    page.wait_for_selector(".card")
    for key in "mlmsb":
        page.keyboard.press(key)
    page.wait_for_function("() => !Inkdot.store.unsaved()")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_function(STILL)
    shoot("viewer")
    for layer in ("scores", "clusters"):
        if page.locator(f'[data-layer="{layer}"]').count():
            page.check(f'[data-layer="{layer}"]')
    page.keyboard.press("o")
    page.wait_for_function(STILL)
    shoot("layers")
    page.goto(page.url.split("review")[0])
    page.wait_for_selector("#rows tr")
    shoot("worklist")


def shoot_report(results: Path, folder: Path, out: Path) -> None:
    """The page of the first slide."""
    subprocess.run([inkdot(), "review", "report", str(results), "--out", str(folder)], check=False)
    page = pypdfium2.PdfDocument(min(folder.glob("*.pdf")))[0]
    page.render(scale=1.3).to_pil().convert("RGB").save(out / "report.jpg", quality=72)
    print(out / "report.jpg")


def main() -> int:
    """Take the images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"expected one of {', '.join(BROWSERS)} on the PATH, found none")
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        process, address = started(given.results, Path(folder) / "a.sqlite", Path(folder) / "server.log")
        try:
            chromium = playwright.chromium.launch(executable_path=browser, args=sandbox)
            page = chromium.new_page(viewport={"width": 1280, "height": 800})
            shoot_served_pages(page, address, given.out)
            page.set_viewport_size({"width": 1360, "height": 980})
            shoot_gallery(page, exported(given.results, Path(folder) / "review"), given.out)
            chromium.close()
            shoot_report(given.results, Path(folder) / "reports", given.out)
        finally:
            process.terminate()
            process.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
