"""Review pages made of drawn images and invented scores, for the browser."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from inkdot.labels import DEFAULT_HEADS, Head, flagging_head, score_columns
from inkdot.records import BoundsL0, Mpp, TileSpec
from inkdot.review.gallery.card_images import jpeg_bytes
from inkdot.review.gallery.gallery import GallerySettings, gallery_facts
from inkdot.review.gallery.page import page_text
from inkdot.review.gallery.slide_review import CardImages, SlideReview
from inkdot.review.results.ranking import Ranking, Region
from inkdot.review.results.scored_slide import ScoreFacts, SlideFrame
from inkdot.units import Level0Px, MicrometresPerPixel, TilePx

if TYPE_CHECKING:
    from playwright.sync_api import Page

WritePage = Callable[..., Path]
SIDE_L0_PX = 256


def slide_review(
    name: str,
    count: int,
    *,
    call: str = "flagged",
    warnings: tuple[str, ...] = (),
    heads: tuple[Head, ...] = DEFAULT_HEADS,
) -> SlideReview:
    """A slide of 30,000 px with ``count`` regions in a row, the first half of them flagged unless nothing is."""
    size = Level0Px(30_000)
    facts = ScoreFacts(
        frame=SlideFrame(
            name,
            (size, size),
            Mpp.square(0.25),
            "metadata",
            BoundsL0(Level0Px(0), Level0Px(0), size, size),
            False,
        ),
        spec=TileSpec(TilePx(SIDE_L0_PX), MicrometresPerPixel(0.25), TilePx(SIDE_L0_PX)),
        heads=heads,
        threshold=0.5,
        model_sha256="ab" * 32,
        tiles_sha256="cd" * 32,
        warnings=warnings,
        synthetic_model=False,
    )
    regions: list[Region] = []
    for index in range(count):
        score = 0.99 - 0.98 * index / max(1, count - 1) if call == "flagged" else 0.4 - 0.001 * index
        scores = dict.fromkeys(score_columns(heads), 0.2) | {"p.morphology.small_cell": 0.8}
        flag = flagging_head(heads)
        scores |= {
            f"p.{flag.name}.{name}": score if name == flag.flag_class else 1 - score for name in flag.classes
        }
        x, y = (index % 100) * 300, (index // 100) * 300
        regions.append(Region(index + 1, x, y, SIDE_L0_PX, SIDE_L0_PX, score, score >= 0.5, scores))
    flagged = sum(region.flagged for region in regions)
    return SlideReview(
        slide_id=name,
        call=call,
        score=regions[0].score if regions else None,
        warnings=warnings,
        facts=facts,
        ranking=Ranking(tuple(regions), flagged, count * 3, False, "region"),
        images=tuple(CardImages("tile.jpg", "context.jpg") for _ in regions),
        overview="overview.jpg",
        overview_size_px=(400, 400),
    )


@pytest.fixture
def write_page(tmp_path: Path) -> WritePage:
    """Write a page about slides, with images beside it; returns its path."""

    def write(*reviews: SlideReview, blinded_seed: int | None = None) -> Path:
        folder = tmp_path / "review of ümlauts"
        tiles = folder / "tiles"
        tiles.mkdir(parents=True, exist_ok=True)
        shades = np.linspace(120, 240, 256, dtype=np.uint8)
        image = np.repeat(np.tile(shades, (256, 1))[:, :, None], 3, axis=2)
        for name in ("tile.jpg", "context.jpg", "overview.jpg"):
            (tiles / name).write_bytes(jpeg_bytes(image))
        page = folder / "index.html"
        text = page_text(gallery_facts(reviews, GallerySettings(tiles.name, blinded_seed)))
        page.write_text(text, encoding="utf-8", newline="\n")
        return page

    return write


@pytest.fixture(scope="session")
def make_review() -> Callable[..., SlideReview]:
    """See :func:`slide_review`."""
    return slide_review


def reviewed(page: "Page") -> str:
    return page.locator("#progress").inner_text()


def pressed(page: "Page", rank: int) -> list[str]:
    return page.locator(f'.card[data-rank="{rank}"] .verdict[aria-pressed="true"]').evaluate_all(
        "(buttons) => buttons.map((button) => button.dataset.verdict)"
    )


def current_rank(page: "Page") -> str | None:
    return page.locator(".card.current").get_attribute("data-rank")


def focused_rank(page: "Page") -> str | None:
    """Which card has the keyboard."""
    return page.evaluate("document.activeElement.closest('.card')?.dataset.rank")


def verdicts(page: "Page") -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "verdicts.csv"
    text = Path(download.value.path()).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def name_reader(page: "Page", name: str) -> None:
    page.fill("#reader", name)
    page.locator("#reader").blur()


@pytest.fixture(scope="session")
def seen() -> SimpleNamespace:
    """What a gallery shows, how to name a reader, and how to save a table."""
    helpers = (reviewed, pressed, current_rank, focused_rank, verdicts, name_reader)
    return SimpleNamespace(**{helper.__name__: helper for helper in helpers})
