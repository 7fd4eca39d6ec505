"""The in-memory slide, reference of the other readers, and the pixel arithmetic that they share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkdot.geometry import plan_rectangle
from inkdot.records import BoundsL0, Mpp, RgbArray
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.slides.pixels import fitted_size, on_white, shrunk, window
from inkdot.units import Level0Px


def noise(width: int, height: int, seed: int = 0) -> RgbArray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_one_array_or_a_pyramid() -> None:
    rgb = noise(403, 302)
    alone = ArraySlide(rgb, 0.25)
    assert alone.info.mpp == Mpp.square(0.25)
    assert alone.info.level_downsamples == (1.0,)
    slide = ArraySlide(pyramid_of(rgb, (1, 3)), Mpp.square(0.5), slide_id="x", synthetic=True)
    assert slide.info.size_l0_px == (403, 302)
    assert slide.info.level_sizes_px == ((403, 302), (134, 100))
    assert slide.info.level_downsamples[1] == pytest.approx((403 / 134 + 302 / 100) / 2)
    assert slide.info.synthetic


def test_level_0_comes_back_as_it_is() -> None:
    rgb = noise(90, 70)
    slide = ArraySlide(rgb, 0.25)
    assert (slide.read(plan_rectangle(slide.info, 0, 20, 10, 30, 40)) == rgb[10:50, 20:50]).all()


def test_bounds_and_warnings_are_kept() -> None:
    bounds = BoundsL0(Level0Px(1), Level0Px(2), Level0Px(3), Level0Px(4))
    info = ArraySlide(noise(9, 9), 0.25, bounds_l0_px=bounds, warnings=("dark",)).info
    assert (info.bounds_l0_px, info.warnings) == (bounds, ("dark",))


def test_a_closed_slide_is_not_read() -> None:
    slide = ArraySlide(noise(9, 9), 0.25)
    plan = plan_rectangle(slide.info, 0, 0, 0, 5, 5)
    slide.close()
    with pytest.raises(ValueError, match="closed"):
        slide.read(plan)
    with pytest.raises(ValueError, match="closed"):
        slide.thumbnail(5)


@pytest.mark.parametrize(
    "wrong", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3))]
)
def test_other_arrays_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8 RGB"):
        ArraySlide([wrong], 0.25)  # type: ignore[list-item]


@settings(deadline=None)  # a busy machine is no fault
@given(st.integers(-40, 60), st.integers(-40, 60), st.integers(1, 50), st.integers(1, 50))
def test_a_window_is_the_array_where_it_has_pixels_and_white_elsewhere(
    x: int, y: int, w: int, h: int
) -> None:
    rgb = noise(30, 20) // 2  # nowhere white
    cut = window(rgb, x, y, w, h)
    framed = np.full((20 + 200, 30 + 200, 3), 255, np.uint8)
    framed[100:120, 100:130] = rgb
    assert (cut == framed[100 + y : 100 + y + h, 100 + x : 100 + x + w]).all()


def test_white_shows_through_what_is_transparent() -> None:
    rgba = np.zeros((1, 5, 4), np.uint8)
    rgba[0, :, 3] = (0, 64, 128, 254, 255)
    assert on_white(rgba)[0, :, 0].tolist() == [255, 191, 127, 1, 0]
    rgba[..., :3] = 200
    assert on_white(rgba)[0, :, 0].tolist() == [255, 241, 227, 200, 200]


@settings(deadline=None)  # a busy machine is no fault
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 400))
def test_a_fitted_size_keeps_shape_and_never_grows(width: int, height: int, most: int) -> None:
    w, h = fitted_size((width, height), most)
    assert 1 <= w <= width
    assert 1 <= h <= height
    assert max(w, h) == min(most, max(width, height))
    if max(width, height) <= most:
        assert (w, h) == (width, height)


@pytest.mark.parametrize("size", [(400, 300), (401, 307), (97, 1303)])
def test_shrinking_in_strips_is_the_area_mean(size: tuple[int, int]) -> None:
    rgb = noise(*size, seed=3)
    calls: list[tuple[int, int, int, int]] = []

    def read(x: int, y: int, w: int, h: int) -> RgbArray:
        calls.append((x, y, w, h))
        return rgb[y : y + h, x : x + w]

    small = shrunk(size, read, 50)
    assert small.shape == (fitted_size(size, 50)[1], fitted_size(size, 50)[0], 3)
    assert np.abs(small.mean(axis=(0, 1)) - rgb.mean(axis=(0, 1))).max() < 2.5
    exact = shrunk((400, 300), lambda x, y, w, h: noise(400, 300)[y : y + h, x : x + w], 100)
    blocks = noise(400, 300).reshape(75, 4, 100, 4, 3).mean(axis=(1, 3))
    assert np.abs(exact - blocks).max() <= 0.51


def test_a_large_slide_is_shrunk_in_strips() -> None:
    asked: list[int] = []

    def read(x: int, y: int, w: int, h: int) -> RgbArray:
        asked.append(w * h)
        rows = (np.arange(y, y + h) // 1000).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(rows[:, None, None], (h, w, 3)))

    small = shrunk((3_000, 15_000), read, 500)
    assert small.shape == (500, 100, 3)
    assert max(asked) <= 32 * 2**20 < sum(asked)
    assert small[:: 500 // 15 + 1, 0, 0].tolist() == list(range(15))


def test_a_thumbnail_is_never_larger_than_the_slide() -> None:
    slide = ArraySlide(noise(40, 30), 0.25)
    assert slide.thumbnail(500).shape == (30, 40, 3)
    assert slide.thumbnail(20).shape == (15, 20, 3)
