import numpy as np
import pytest

from inkdot.errors import ResolutionError
from inkdot.records import Mpp, TileSpec
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.tiling.tile_pixels import read_tile, read_tiles, resized

RNG = np.random.default_rng(3)


def test_a_tile_at_the_slides_own_scale_is_its_pixels():
    rgb = RNG.integers(0, 256, (80, 90, 3), dtype=np.uint8)
    tile = read_tile(ArraySlide(rgb, 0.25), TileSpec(32, 0.25, 32), 17, 5)
    assert np.array_equal(tile, rgb[5:37, 17:49])


def test_a_coarser_tile_is_the_area_mean():
    rgb = RNG.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    tile = read_tile(ArraySlide(rgb, 0.25), TileSpec(16, 0.75, 16), 6, 9)
    means = rgb[9:57, 6:54].reshape(16, 3, 16, 3, 3).mean(axis=(1, 3))
    assert np.abs(tile - means).max() <= 0.5


def area_mean(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    """Exact, by interpolating the integral of the image."""
    integral = np.pad(rgb.astype(np.float64), ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    for axis, count in ((0, height), (1, width)):
        integral = np.moveaxis(integral, axis, 0)
        at = np.linspace(0, len(integral) - 1, count + 1)
        low = np.minimum(at.astype(int), len(integral) - 2)
        part = (at - low)[:, None, None]
        integral = np.moveaxis((1 - part) * integral[low] + part * integral[low + 1], 0, axis)
    sums = np.diff(np.diff(integral, axis=0), axis=1)
    return sums * (width * height) / (rgb.shape[0] * rgb.shape[1])


@pytest.mark.parametrize(
    "side", [128, 129, 140, 141, 154, 199, 205, 253, 256, 257, 300, 307, 308, 340, 384, 422, 500]
)
def test_shrinking_is_an_area_mean_at_every_ratio(side: int):
    rng = np.random.default_rng(8)
    grain = rng.normal(0.0, 1.0, (side + 8, side + 10, 3))
    smooth = sum(np.roll(grain, (dy, dx), (0, 1)) for dy in range(4) for dx in range(4))
    rgb = np.clip(160 + 8 * smooth[8:, 8:], 0, 255).astype(np.uint8)  # detail as in a focused slide
    rgb[: side // 3, : side // 3] = 240
    difference = np.abs(resized(rgb, 128, 128) - area_mean(rgb, 128, 128))
    assert difference.mean() < 0.85
    assert difference.max() <= 12


@pytest.mark.parametrize("downsamples", [(1,), (1, 2), (1, 3), (1, 4, 16)])
@pytest.mark.parametrize("mpp", [Mpp.square(0.25), Mpp.square(0.2301), Mpp(0.25, 0.26)])
def test_tiles_have_the_side_and_the_place_asked_for(downsamples: tuple[int, ...], mpp: Mpp):
    # A red square of 40 µm whose corner is the tile's corner: half of the tile, whatever the level read.
    rgb = np.full((1200, 1200, 3), 255, np.uint8)
    x, y = 240, 480
    rgb[y : y + round(40 / mpp.y), x : x + round(40 / mpp.x)] = (200, 0, 0)
    tile = read_tile(ArraySlide(pyramid_of(rgb, downsamples), mpp), TileSpec(80, 1.0, 80), x, y)
    assert tile.shape == (80, 80, 3)
    red = tile[..., 1] < 128
    assert red[1:39, 1:39].all()
    assert not red[:, 42:].any()
    assert not red[42:].any()


def test_beyond_the_slide_is_white():
    tile = read_tile(ArraySlide(np.zeros((64, 64, 3), np.uint8), 0.5), TileSpec(32, 0.5, 32), 48, 48)
    assert (tile[:16, :16] == 0).all()
    assert (tile[16:] == 255).all()
    assert (tile[:, 16:] == 255).all()


def test_tiles_come_in_the_order_given():
    rgb = np.zeros((64, 96, 3), np.uint8)
    rgb[:, 32:64], rgb[:, 64:] = 100, 200
    slide = ArraySlide(rgb, 0.5)
    tiles = list(read_tiles(slide, TileSpec(32, 0.5, 32), [64, 0, 32], [0, 0, 16]))
    assert [int(tile.mean()) for tile in tiles] == [200, 0, 100]


def test_detail_the_slide_does_not_hold_is_refused():
    slide = ArraySlide(np.zeros((64, 64, 3), np.uint8), 0.5)
    with pytest.raises(ResolutionError, match=r"found 0\.5 µm/px"):
        read_tile(slide, TileSpec(32, 0.25, 32), 0, 0)
