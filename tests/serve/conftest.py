"""A results folder whose slides show where they are, and the application that serves it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from inkdot.config import HeadConfig
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import manifest_text
from inkdot.records import Mpp, RgbArray, SlideEntry, TileSpec
from inkdot.serve.access import AccessPolicy
from inkdot.serve.application import Application
from inkdot.serve.reader_verdicts import ReaderVerdicts
from inkdot.serve.readers import Reader, shared_secret
from inkdot.serve.served_results import ServedResults, ServeSettings, served_results
from inkdot.serve.slide_pool import SlidePool
from inkdot.slides import open_slide
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_records import OperatingPoint
from inkdot.storage.record_json import slide_info_json, tile_spec_json
from inkdot.storage.schemas import SCORES_VERSION, scores_schema
from inkdot.storage.tables.parquet_tables import write_table
from inkdot.storage.tables.predictions import Prediction, write_predictions
from inkdot.storage.verdict_store import VerdictStore
from inkdot.units import MicrometresPerPixel, TilePx

MPP = 0.5
SIDE_L0_PX = 200
SPEC = TileSpec(TilePx(100), MicrometresPerPixel(1.0), TilePx(100))  # 100 µm, 200 level-0 pixels
WIDTH, HEIGHT = 2400, 1800
BARS_X_L0_PX = (600, 1000)
"""Left edges of two black bars over the whole height, 400 px or 200 µm apart."""
BAR_L0_PX = 8
NASTY_NAME = "O'Neil & {{facts}} %2e%2e `S1`"
NASTY_WARNING = "</script><img src=x onerror=\"document.title='owned'\"> &amp; <b>bold</b>"

Scores = Mapping[tuple[int, int], float]


def painted() -> RgbArray:
    """A slide whose colour says where it is, with two black bars."""
    x = np.arange(WIDTH)[None, :]
    y = np.arange(HEIGHT)[:, None]
    rgb = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    rgb[..., 0] = 100 + x * 120 // WIDTH
    rgb[..., 1] = 100 + y * 120 // HEIGHT
    rgb[..., 2] = 200
    for left in BARS_X_L0_PX:
        rgb[:, left : left + BAR_L0_PX] = 0
    return rgb


def write_scores(results: RunLayout, entry: SlideEntry, scores: Scores, **more: Any) -> None:
    """Scores of tiles at (column, row)."""
    with closing(open_slide(entry)) as slide:
        info = slide.info
    tiles = sorted(scores, key=lambda tile: (tile[1], tile[0]))
    flag = np.asarray([scores[tile] for tile in tiles], dtype=np.float32)
    known = {
        "x_l0_px": [column * SIDE_L0_PX for column, _ in tiles],
        "y_l0_px": [row * SIDE_L0_PX for _, row in tiles],
        "foreground_fraction": np.ones(len(flag), np.float32),
        "p.malignancy.benign": 1 - flag,
        "p.malignancy.malignant": flag,
        "p.morphology.small_cell": flag,
        "p.morphology.large_cell": 1 - flag,
    }
    schema = scores_schema(DEFAULT_HEADS)
    columns = [
        pa.array(known[field.name], field.type) if field.name in known else pa.nulls(len(flag), field.type)
        for field in schema
    ]
    point = OperatingPoint(
        class_name="malignant", threshold=0.5, target_sensitivity=0.95, sensitivity=None, specificity=None
    )
    facts: dict[str, object] = {
        "slide": slide_info_json(info),
        "tile_spec": tile_spec_json(SPEC),
        "model_sha256": "ab" * 32,
        "tiles_sha256": hashlib.sha256(entry.slide_id.encode()).hexdigest(),
        "heads": [HeadConfig.from_head(head).model_dump(mode="json") for head in DEFAULT_HEADS],
        "operating_points": {"malignancy": point.model_dump(mode="json")},
        "warnings": [NASTY_WARNING],
        "synthetic_model": False,
    } | more
    write_table(
        results.scores(entry.slide_id), pa.Table.from_arrays(columns, schema=schema), SCORES_VERSION, facts
    )


SCORES: Mapping[str, Scores] = {
    NASTY_NAME: {(3, 2): 0.95, (8, 6): 0.9, (0, 0): 0.2, (10, 1): 0.1},
    "S2 clean": {(1, 1): 0.3, (6, 4): 0.4},
    "S4 empty": {},
}


def make_results(root: Path, painted_slide: Callable[[Path], object]) -> RunLayout:
    """Two scored slides, one without tiles, and one that predict could not read."""
    layout = RunLayout(root / "results")
    layout.root.mkdir(parents=True)
    slides = root / "the folder of slides"
    slides.mkdir()
    entries = [SlideEntry(name, slides / f"slide{number}.tif") for number, name in enumerate(SCORES)]
    predictions: list[Prediction] = []
    for entry in entries:
        painted_slide(entry.path)
        scores = SCORES[entry.slide_id]
        write_scores(layout, entry, scores)
        flagged = sum(score >= 0.5 for score in scores.values())
        call = ("flagged" if flagged else "nothing flagged") if scores else "inadequate"
        score = f"{max(scores.values()):.4f}" if scores else ""
        predictions.append(Prediction(entry.slide_id, "done", call, score, len(scores), flagged))
    entries.append(SlideEntry("S3 broken", slides / "broken.tif"))
    reason = f"{entries[-1].path}: expected a slide, found a text file (Reading {slides}/x)"
    predictions.append(Prediction("S3 broken", "failed", "", reason=reason))
    write_text(layout.slides_csv, manifest_text(entries, DEFAULT_HEADS, layout.root))
    write_predictions(layout.predictions_csv, predictions)
    return layout


@pytest.fixture(scope="session")
def slide_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The painted slide, written once."""
    path = tmp_path_factory.mktemp("painted") / "slide.tif"
    write_array_pyramid(path, painted(), mpp=Mpp.square(MPP))
    return path


@pytest.fixture
def results(tmp_path: Path, slide_file: Path) -> RunLayout:
    """See :func:`make_results`."""
    return make_results(tmp_path, lambda path: path.hardlink_to(slide_file))


READERS = (Reader("dr-a", "a" * 40), Reader("dr-b", "b" * 40))
BASE = "http://127.0.0.1:8765"


class Served:
    """A running application and the people at it."""

    readers = READERS

    def __init__(
        self, results: RunLayout, settings: ServeSettings, access: AccessPolicy | None = None
    ) -> None:
        self.shown: ServedResults = served_results(results.root, settings)
        self.store = VerdictStore(results.reviews_sqlite)
        self.slides = SlidePool()
        access = access or AccessPolicy(READERS, "127.0.0.1", 8765)
        self.asgi = Application(
            self.shown, ReaderVerdicts(self.store, self.shown), access, self.slides
        ).asgi()

    def client(self, reader: Reader | None = None, base: str = BASE) -> TestClient:
        """A browser; with a reader, one that has come in."""
        client = TestClient(self.asgi, base_url=base, follow_redirects=False)
        if reader is not None:
            assert client.get(f"/login?token={reader.token}").status_code == 303
        return client

    def verdict(
        self, client: TestClient, key: str, verdicts: Mapping[str, str], note: str = "", *, undo: bool = False
    ) -> Any:
        """Send the state of one region as a page does."""
        page_key = client.get("/page-key").json()["page_key"]
        sent = {"key": key, "verdicts": dict(verdicts), "note": note, "undo": undo}
        return client.post("/verdicts", json=sent, headers={"X-Inkdot-Page": page_key})

    def regions(self, slide_index: int = 0) -> list[str]:
        """Keys of the regions of one slide in the order of their cards."""
        slides: Any = self.shown.facts["slides"]
        return slides[slide_index]["region_keys"]

    def cards(self, slide_index: int = 0) -> list[Any]:
        """What the cards of one slide say."""
        slides: Any = self.shown.facts["slides"]
        view = slides[slide_index].get("view")
        return json.loads(self.shown.regions_json(view["slide"])) if view else []

    def close(self) -> None:
        self.slides.close()
        self.store.close()


@pytest.fixture
def serve(results: RunLayout) -> Iterator[Callable[..., Served]]:
    """Start the application on the results; settings as of :class:`ServeSettings`."""
    started: list[Served] = []

    def start(access: AccessPolicy | None = None, **settings: Any) -> Served:
        settings = {"secret": shared_secret(READERS)} | settings  # as the command does
        started.append(Served(results, ServeSettings(**settings), access))
        return started[-1]

    yield start
    for served in started:
        served.close()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """The application as it starts without options."""
    return serve()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory, slide_file: Path) -> Iterator[Served]:
    """One application for all tests that change neither verdicts nor files."""
    results = make_results(tmp_path_factory.mktemp("standing"), lambda path: path.hardlink_to(slide_file))
    served = Served(results, ServeSettings())
    yield served
    served.close()


@pytest.fixture(scope="session")
def truth() -> SimpleNamespace:
    """What is painted, and what the slides are called."""
    return SimpleNamespace(
        rgb=painted(),
        mpp=MPP,
        side_l0_px=SIDE_L0_PX,
        bars_x_l0_px=BARS_X_L0_PX,
        bar_l0_px=BAR_L0_PX,
        name=NASTY_NAME,
        warning=NASTY_WARNING,
        make_results=make_results,
    )
