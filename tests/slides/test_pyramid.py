"""Pyramids are read back with OpenSlide, the reference reader."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openslide
import pytest

from inkdot.records import Mpp, RgbArray
from inkdot.slides.pyramid import TILE_SIDE_PX, write_array_pyramid, write_pyramid

Colour = tuple[int, int, int]


class Painted:
    """Glass, with one solid tile per entry of ``colours``."""

    def __init__(self, size_px: tuple[int, int], colours: dict[tuple[int, int], Colour]) -> None:
        self.size_px = size_px
        self.colours = colours
        self.pool: Sequence[RgbArray] = [np.full((TILE_SIDE_PX, TILE_SIDE_PX, 3), 243, np.uint8)]

    def tile(self, column: int, row: int) -> RgbArray | int:
        if (column, row) in self.colours:
            return np.full((TILE_SIDE_PX, TILE_SIDE_PX, 3), self.colours[column, row], np.uint8)
        return 0


def pixels(slide: openslide.OpenSlide, x: int, y: int, level: int, size: int) -> np.ndarray:
    return np.asarray(slide.read_region((x, y), level, (size, size)).convert("RGB")).astype(int)


@pytest.mark.parametrize("downsamples", [(1,), (1, 2, 4), (1, 4, 16), (1, 4, 16, 64)])
@pytest.mark.parametrize("size", [(1024, 1024), (2000, 1300)])
def test_streamed_colours_at_every_level(
    tmp_path: Path, downsamples: tuple[int, ...], size: tuple[int, int]
) -> None:
    source = Painted(size, {(1, 1): (200, 30, 40), (2, 3): (20, 60, 180)})
    path = tmp_path / "a.tif"
    mpp = Mpp.square(0.2506)
    write_pyramid(path, source, mpp=mpp, description='{"a": 1}', downsamples=downsamples, quality=95)
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == size
        assert slide.level_count == len(downsamples)
        assert slide.level_downsamples == pytest.approx(downsamples, rel=0.02)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.2506, rel=1e-6)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.2506, rel=1e-6)
        assert slide.properties["tiff.ImageDescription"] == '{"a": 1}'
        assert "tiff.DateTime" not in slide.properties
        for level, downsample in enumerate(downsamples):
            side = max(1, 128 // downsample)
            tolerance = 4 if downsample < 64 else 20  # a tile is 4 px wide at downsample 64: JPEG rings there
            for (column, row), colour in source.colours.items():
                at = (column * 256 + 64, row * 256 + 64)
                assert np.abs(pixels(slide, *at, level, side) - colour).max() <= tolerance
            assert np.abs(pixels(slide, 600, 100, level, side) - 243).max() <= tolerance


def test_odd_downsamples_of_an_array(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    rgb = np.repeat(np.repeat(coarse, 90, axis=0), 90, axis=1)
    path = tmp_path / "odd.tif"
    write_array_pyramid(path, rgb, mpp=Mpp.square(0.5), downsamples=(1, 3, 15), quality=100)
    with openslide.OpenSlide(path) as slide:
        assert slide.level_downsamples == pytest.approx((1, 3, 15))
        for level, downsample in enumerate((1, 3, 15)):
            for y in range(9):
                for x in range(12):
                    # The middle third of a block, clear of the ringing at its border.
                    seen = pixels(slide, x * 90 + 30, y * 90 + 30, level, 30 // downsample)
                    assert np.abs(seen - coarse[y, x]).max() <= 4


def test_mpp_may_differ_or_be_absent(tmp_path: Path) -> None:
    rgb = np.full((300, 300, 3), 200, np.uint8)
    write_array_pyramid(tmp_path / "xy.tif", rgb, mpp=Mpp(0.25, 0.5), downsamples=(1, 2))  # pyright: ignore
    write_array_pyramid(tmp_path / "none.tif", rgb, mpp=None, downsamples=(1, 2))
    with openslide.OpenSlide(tmp_path / "xy.tif") as slide:
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.5)
    with openslide.OpenSlide(tmp_path / "none.tif") as slide:
        assert "openslide.mpp-x" not in slide.properties


def test_same_source_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for name in ("a.tif", "b.tif"):
        source = Painted((600, 600), {(0, 0): (9, 9, 9)})
        write_pyramid(tmp_path / name, source, mpp=Mpp.square(0.5), description="x")
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_source_that_fails_leaves_nothing(tmp_path: Path) -> None:
    class Broken(Painted):
        def tile(self, column: int, row: int) -> RgbArray | int:
            if row == 1:
                raise RuntimeError("no more ink")
            return 0

    with pytest.raises(RuntimeError, match="no more ink"):
        write_pyramid(tmp_path / "a.tif", Broken((600, 600), {}), mpp=None, description="")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("downsamples", [(), (2, 4), (1, 4, 2), (1, 3), (1, 512)])
def test_downsamples_that_cannot_be_streamed(tmp_path: Path, downsamples: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="downsample"):
        write_pyramid(
            tmp_path / "a.tif", Painted((600, 600), {}), mpp=None, description="", downsamples=downsamples
        )
