"""Tiles of the viewer show the slide's own pixels, where they are, in bounded memory."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inkdot.records import BoundsL0, ReadPlan, RgbArray, SlideInfo
from inkdot.serve.byte_cache import ByteCache
from inkdot.serve.deep_zoom import TILE_PX, ZoomTile, finest_level, level_size_px, read_zoom_tile, tile_exists
from inkdot.serve.slide_pool import SlidePool
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.units import Level0Px


def gradient(width: int, height: int) -> RgbArray:
    """Colours that change slowly, so that a level's pixel tells where it is."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0] = (np.arange(width) * 200 // width)[None, :]
    rgb[..., 1] = (np.arange(height) * 200 // height)[:, None]
    return rgb


def block_means(rgb: RgbArray, step: int) -> np.ndarray:
    """Means of whole blocks, the plain way."""
    height, width = (side // step * step for side in rgb.shape[:2])
    return rgb[:height, :width].reshape(height // step, step, width // step, step, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("downsamples", [(1.0,), (1.0, 4.0), (1.0, 2.0, 4.0, 8.0)])
def test_every_level_is_the_slide_at_a_power_of_two(downsamples: tuple[float, ...]) -> None:
    rgb = gradient(1600, 1280)
    slide = ArraySlide(pyramid_of(rgb, downsamples), 0.25)
    for step in (1, 2, 4, 8, 16):
        level = finest_level((1600, 1280)) - step.bit_length() + 1
        width, height = level_size_px((1600, 1280), level)
        whole = np.zeros((height, width, 3), np.uint8)
        for row in range(0, height, TILE_PX):
            for column in range(0, width, TILE_PX):
                tile = read_zoom_tile(slide, ZoomTile(level, column // TILE_PX, row // TILE_PX))
                whole[row : row + TILE_PX, column : column + TILE_PX] = tile
        assert np.abs(whole.astype(int) - block_means(rgb, step)).max() <= 1.5, step


def test_the_frame_is_level_0_regardless_of_bounds() -> None:
    rgb = gradient(1600, 1280)
    bounds = BoundsL0(Level0Px(300), Level0Px(200), Level0Px(500), Level0Px(400))
    tile = ZoomTile(finest_level((1600, 1280)), 1, 1)
    plain = read_zoom_tile(ArraySlide(rgb, 0.25), tile)
    assert np.array_equal(read_zoom_tile(ArraySlide(rgb, 0.25, bounds_l0_px=bounds), tile), plain)
    assert np.array_equal(plain, rgb[512:1024, 512:1024])


def test_tiles_at_the_edge_end_there() -> None:
    size = (1600, 1280)
    slide = ArraySlide(gradient(*size), 0.25)
    level = finest_level(size)
    assert read_zoom_tile(slide, ZoomTile(level, 3, 2)).shape == (1280 - 1024, 1600 - 1536, 3)
    assert read_zoom_tile(slide, ZoomTile(0, 0, 0)).shape == (1, 1, 3)
    assert not tile_exists(size, ZoomTile(level, 4, 0))
    assert not tile_exists(size, ZoomTile(level, 0, 3))
    assert not tile_exists(size, ZoomTile(level + 1, 0, 0))
    assert tile_exists(size, ZoomTile(level, 3, 2))


class Weighed:
    """A slide without coarse levels that remembers how much was asked for at once."""

    def __init__(self, side: int) -> None:
        self._slide = ArraySlide(np.full((8, 8, 3), 200, np.uint8), 0.25)
        info = self._slide.info
        self.largest = 0
        self.info = SlideInfo(
            "flat", (Level0Px(side), Level0Px(side)), info.mpp, "metadata", ((side, side),), (1.0,)
        )  # type: ignore[arg-type]

    def read(self, plan: ReadPlan) -> RgbArray:
        self.largest = max(self.largest, plan.width_level_px * plan.height_level_px)
        return np.full((plan.height_level_px, plan.width_level_px, 3), 200, np.uint8)

    def thumbnail(self, max_side_px: int) -> RgbArray:
        raise NotImplementedError

    def close(self) -> None: ...


def test_a_flat_file_is_read_in_bands() -> None:
    side = 20_000
    slide = Weighed(side)
    level = finest_level((side, side)) - 5
    assert read_zoom_tile(slide, ZoomTile(level, 0, 0)).shape == (512, 512, 3)
    assert 0 < slide.largest <= 16 * 2**20


def test_served_tiles_are_the_file_s_pixels(served: Any, truth: SimpleNamespace) -> None:
    client = served.client(served.readers[0])
    slide = next(iter(served.shown.slides))
    level = finest_level((2400, 1800))
    response = client.get(f"/slides/{slide}/tiles/{level}/1_1.jpg")
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["cache-control"].startswith("private")
    pixels = np.asarray(Image.open(io.BytesIO(response.content)), dtype=int)
    expected = truth.rgb[512:1024, 512:1024].astype(int)
    assert np.abs(pixels - expected).mean() < 2.0
    edges = np.flatnonzero(np.diff((pixels[100, :, 0] < 60).astype(int)))
    assert edges.tolist() == [600 - 512 - 1, 608 - 512 - 1, 1000 - 512 - 1, 1008 - 512 - 1]


def test_images_of_regions_show_the_box_of_their_card(served: Any, truth: SimpleNamespace) -> None:
    client = served.client(served.readers[0])
    slides: Any = served.shown.facts["slides"]
    region = served.cards()[0]
    pixels = np.asarray(Image.open(io.BytesIO(client.get(f"/{region['tile']}").content)), dtype=int)
    left, top, right, bottom = region["box_l0_px"]
    assert pixels.shape == (bottom - top, right - left, 3)
    assert np.abs(pixels - truth.rgb[top:bottom, left:right].astype(int)).mean() < 2.0
    overview = Image.open(io.BytesIO(client.get(f"/{slides[0]['overview']['src']}").content))
    assert overview.size == (slides[0]["overview"]["width"], slides[0]["overview"]["height"])


def test_layers_hold_level_0_pixels_and_end_with_the_highest(served: Any) -> None:
    client = served.client(served.readers[0])
    layer = client.get(f"/slides/{next(iter(served.shown.slides))}/layers/scores").json()
    assert layer["score"] == [0.1, 0.2, 0.9, 0.95]
    assert (layer["x_l0_px"][-1], layer["y_l0_px"][-1]) == (600, 400)
    assert (layer["width_l0_px"], layer["threshold"]) == (200.0, 0.5)


def test_the_cache_stays_below_its_limit_and_evicts_the_least_recently_used() -> None:
    cache = ByteCache(100)
    made: list[str] = []

    def make(name: str) -> Callable[[], bytes]:
        return lambda: made.append(name) or b"x" * 40

    for name in ("a", "b", "a", "c", "a", "b"):
        cache.find_or_make(name, make(name))
    assert made == ["a", "b", "c", "b"]
    assert len(cache.find_or_make("large", lambda: b"x" * 500)) == 500
    for name in ("large", "a", "b", "a", "b"):
        cache.find_or_make(name, make(name))
    assert made == [
        "a",
        "b",
        "c",
        "b",
        "large",
        "a",
        "b",
    ]  # too large to be kept, and in its place nothing else


def test_the_pool_keeps_few_handles_and_none_after_an_error(served: Any) -> None:
    slides = SlidePool(max_idle=1)
    first, second, _ = (slide.entry for slide in served.shown.slides.values())
    with slides.borrow(first) as one, slides.borrow(first) as two:
        assert one is not two
    assert slides.idle == 1
    with slides.borrow(second) as three:
        pass
    assert slides.idle == 1
    with slides.borrow(second) as again:
        assert again is three
    with pytest.raises(RuntimeError), slides.borrow(second):
        raise RuntimeError
    assert slides.idle == 0
    with slides.borrow(first):
        slides.close()
    assert slides.idle == 0
