"""Known colours at known positions are read back at every level, scale and offset.

The slide is a mosaic whose colour is a function of the level-0 position. What a tile must show follows from
that function and the definition of mpp alone, whatever level it was read from.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from inkdot.geometry import level_for, plan_rectangle
from inkdot.records import Mpp, RgbArray, Slide, SlideEntry, TileSpec
from inkdot.slides import open_slide
from inkdot.slides.array_slide import ArraySlide, pyramid_of
from inkdot.slides.native_slide import NativeSlide
from inkdot.slides.openslide_backend import OpenSlideSlide
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.tiling.tile_pixels import read_tile
from inkdot.units import MicrometresPerPixel, TilePx

BLOCK_L0_PX = 250
SIZE_L0_PX = (2711, 1933)
"""Divisible by nothing that matters: every level loses a remainder."""

SQUARE = Mpp.square(0.2301)
OBLONG = Mpp(MicrometresPerPixel(0.25), MicrometresPerPixel(0.26))
LADDERS = ((1, 3, 15), (1, 5), (1, 4, 16), (1, 2, 3, 7))
KINDS = ("openslide", "native", "memory")


def colour_at(x_l0: np.ndarray, y_l0: np.ndarray) -> np.ndarray:
    """The paint at a level-0 position, [..., 3]; neighbouring blocks differ by at least 40 in some channel."""
    column, row = (x_l0 // BLOCK_L0_PX).astype(int), (y_l0 // BLOCK_L0_PX).astype(int)
    red = 30 + 50 * ((column + 2 * row) % 5)
    green = 30 + 50 * ((3 * column + row) % 5)
    blue = 20 + 10 * ((column * 7 + row * 13) % 21)
    return np.stack([red, green, blue], axis=-1)


def open_file(kind: str, path: Path) -> Slide:
    if kind == "openslide":
        return OpenSlideSlide(SlideEntry("painted", path))
    opened = open_slide(SlideEntry("painted", path))
    assert isinstance(opened, NativeSlide)
    return opened


def mosaic() -> RgbArray:
    width, height = SIZE_L0_PX
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return colour_at(x, y).astype(np.uint8)


@pytest.fixture(scope="module")
def image() -> RgbArray:
    return mosaic()


@pytest.fixture(
    scope="module",
    params=[(kind, ladder, mpp) for kind in KINDS for ladder in LADDERS for mpp in (SQUARE, OBLONG)],
    ids=lambda p: f"{p[0]}-{'-'.join(map(str, p[1]))}-{'square' if p[2] is SQUARE else 'oblong'}",
)
def slide(
    request: pytest.FixtureRequest, image: RgbArray, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Slide]:
    kind, ladder, mpp = request.param
    if kind == "memory":
        yield ArraySlide(pyramid_of(image, ladder), mpp)
        return
    path = tmp_path_factory.mktemp("painted") / "mosaic.tif"
    write_array_pyramid(path, image, mpp=mpp, downsamples=ladder, quality=100)
    with closing(open_file(kind, path)) as opened:
        yield opened


def spec_at(mpp: float, side_px: int = 96) -> TileSpec:
    return TileSpec(TilePx(side_px), MicrometresPerPixel(mpp), TilePx(side_px))


def assert_shows_the_mosaic(
    pixels: RgbArray, x_l0: np.ndarray, y_l0: np.ndarray, margin_l0_px: float
) -> None:
    """Compare every pixel of the slide that has no edge of a block within the margin."""
    x, y = np.meshgrid(x_l0, y_l0)
    right, lower = SIZE_L0_PX[0] - margin_l0_px, SIZE_L0_PX[1] - margin_l0_px
    inside = (x > 0) & (y > 0) & (x < right) & (y < lower)

    def clear(at: np.ndarray) -> np.ndarray:
        return np.minimum(at % BLOCK_L0_PX, BLOCK_L0_PX - at % BLOCK_L0_PX) > margin_l0_px

    compared = inside & clear(x) & clear(y)
    assert compared.sum() > 0.15 * inside.sum() > 0, "the margin leaves nothing to compare"
    difference = np.abs(pixels.astype(int) - colour_at(x, y))[compared]
    assert difference.max() <= 4, f"off by {difference.max()} grey levels at {(difference > 4).mean():.1%}"


def test_every_level_shows_the_paint(slide: Slide) -> None:
    info = slide.info
    rng = np.random.default_rng(1)
    for level, downsample in enumerate(info.level_downsamples):
        for _ in range(3):
            x_l0, y_l0 = int(rng.integers(0, 2000)), int(rng.integers(0, 1300))
            plan = plan_rectangle(info, level, x_l0, y_l0, 600, 500)
            pixels = slide.read(plan)
            assert pixels.dtype == np.uint8
            assert pixels.shape == (plan.height_level_px, plan.width_level_px, 3)
            xs = x_l0 + (np.arange(plan.width_level_px) + 0.5) * downsample
            ys = y_l0 + (np.arange(plan.height_level_px) + 0.5) * downsample
            # A pixel of the level is spread over itself and a neighbour, and lies up to a pixel off where
            # the level lost a remainder.
            assert_shows_the_mosaic(pixels, xs, ys, margin_l0_px=2.1 * downsample + 4)


@pytest.mark.parametrize("target_mpp", [0.25, 0.5, 0.71, 1.3, 2.6, 4.0])
def test_tiles_at_unaligned_scales_show_the_paint(slide: Slide, target_mpp: float) -> None:
    info, spec = slide.info, spec_at(target_mpp)
    downsample = info.level_downsamples[level_for(info, target_mpp)]
    rng = np.random.default_rng(2)
    for _ in range(4):
        x_l0, y_l0 = int(rng.integers(0, 1700)), int(rng.integers(0, 1000))
        tile = read_tile(slide, spec, x_l0, y_l0)
        assert tile.shape == (96, 96, 3)
        xs = x_l0 + (np.arange(96) + 0.5) * target_mpp / info.mpp.x
        ys = y_l0 + (np.arange(96) + 0.5) * target_mpp / info.mpp.y
        assert_shows_the_mosaic(tile, xs, ys, margin_l0_px=2.1 * downsample + target_mpp / info.mpp.x + 4)


def test_beyond_the_slide_is_white(slide: Slide) -> None:
    info = slide.info
    for level, downsample in enumerate(info.level_downsamples):
        around = int(64 * downsample)
        for x_l0, y_l0 in ((-around, -around), (SIZE_L0_PX[0] - around, SIZE_L0_PX[1] - around)):
            plan = plan_rectangle(info, level, x_l0, y_l0, 2 * around, 2 * around)
            pixels = slide.read(plan)
            xs = x_l0 + (np.arange(plan.width_level_px) + 0.5) * downsample
            ys = y_l0 + (np.arange(plan.height_level_px) + 0.5) * downsample
            x, y = np.meshgrid(xs, ys)
            margin = 2 * downsample
            outside = (
                (x < -margin) | (y < -margin) | (x > SIZE_L0_PX[0] + margin) | (y > SIZE_L0_PX[1] + margin)
            )
            assert outside.mean() > 0.5
            assert (pixels[outside] == 255).all()


def edge_in(profile: np.ndarray) -> float:
    """Position of a dark to light step, in pixels from the left: where the area under the profile puts it."""
    return len(profile) - (profile - 20).sum() / 200.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target_mpp", [0.25, 0.5, 0.71, 1.3, 3.7])
def test_an_edge_lies_where_it_was_painted(tmp_path: Path, kind: str, target_mpp: float) -> None:
    """A half-pixel shift at a coarse level would be invisible in the mosaic, but not here."""
    at_x, at_y = 1203, 897
    rgb = np.full((1800, 2400, 3), 20, np.uint8)
    rgb[:, at_x:, 0] = 220
    rgb[at_y:, :, 1] = 220
    mpp = OBLONG
    if kind == "memory":
        opened: Slide = ArraySlide(pyramid_of(rgb, (1, 3, 15)), mpp)
    else:
        write_array_pyramid(tmp_path / "edge.tif", rgb, mpp=mpp, downsamples=(1, 3, 15), quality=100)
        opened = open_file(kind, tmp_path / "edge.tif")
    with closing(opened) as slide:
        level_um = mpp.y * slide.info.level_downsamples[level_for(slide.info, target_mpp)]
        for shift in (0, 1, 7, 11):
            x_l0 = round(at_x - 40 * target_mpp / mpp.x) + shift
            y_l0 = round(at_y - 40 * target_mpp / mpp.y) + shift
            tile = read_tile(slide, spec_at(target_mpp), x_l0, y_l0).astype(float)
            seen = edge_in(tile[5, :, 0]), edge_in(tile[:, 5, 1])
            painted = (at_x - x_l0) * mpp.x / target_mpp, (at_y - y_l0) * mpp.y / target_mpp
            # Half a pixel of the level for its corner, and half for its size, shared out along the tile.
            # A reader that shrinks while decoding has pixels as large as the tile's at most.
            bound = 1.01 if kind == "native" else level_um / target_mpp
            assert seen == pytest.approx(painted, abs=bound + 0.05)


def test_one_colour_has_no_seams(tmp_path: Path) -> None:
    # Readers join encoded tiles; at fractional offsets a bad join shows as a faint line.
    rgb = np.full((1500, 1500, 3), (180, 90, 140), np.uint8)
    write_array_pyramid(tmp_path / "plain.tif", rgb, mpp=Mpp.square(0.25), downsamples=(1, 3), quality=100)
    with closing(open_slide(SlideEntry("plain", tmp_path / "plain.tif"))) as slide:
        for x_l0, y_l0 in ((0, 0), (1, 2), (37, 511)):
            pixels = slide.read(plan_rectangle(slide.info, 1, x_l0, y_l0, 900, 900)).astype(int)
            assert np.abs(pixels - (180, 90, 140)).max() <= 3


def test_both_readers_agree(image: RgbArray, tmp_path: Path) -> None:
    write_array_pyramid(tmp_path / "m.tif", image, mpp=SQUARE, downsamples=(1, 3), quality=100)
    reference = ArraySlide(pyramid_of(image, (1, 3)), SQUARE)
    with closing(open_slide(SlideEntry("m", tmp_path / "m.tif"))) as slide:
        assert slide.info.level_sizes_px == reference.info.level_sizes_px
        assert slide.info.level_downsamples == pytest.approx(reference.info.level_downsamples)
        assert slide.info.mpp.x == pytest.approx(reference.info.mpp.x, rel=1e-6)
        for plan in (
            plan_rectangle(slide.info, 0, 100, 90, 400, 300),
            plan_rectangle(slide.info, 0, -50, 1800, 400, 300),
        ):
            difference = slide.read(plan).astype(int) - reference.read(plan)
            assert np.abs(difference).mean() < 1.0
        thumbnails = slide.thumbnail(300), reference.thumbnail(300)
        assert thumbnails[0].shape == thumbnails[1].shape == (214, 300, 3)
        assert np.abs(thumbnails[0].astype(int) - thumbnails[1]).mean() < 2.0
