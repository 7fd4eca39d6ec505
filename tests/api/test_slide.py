"""Slides opened in Python: pixels are those of OpenSlide and Pillow, positions are micrometres."""

from pathlib import Path

import numpy as np
import openslide
import pytest
from PIL import Image

import inkdot
from inkdot.errors import ManifestError, MissingMppError, ResolutionError, UnreadableSlideError, UserError
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.units import MicrometresPerPixel

MPP = 0.5


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Smooth colours, so that interpolation and JPEG cost little."""
    y, x = np.mgrid[:700, :900]
    rgb = np.stack([x / 4, y / 3, 128 + 90 * np.sin(x / 60) * np.cos(y / 45)], axis=-1)
    return np.clip(rgb, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def slide_path(pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "s1.tif"
    write_array_pyramid(
        path, pixels, mpp=Mpp.square(MPP), description="Jane Roe 1970-01-01", downsamples=(1, 4)
    )
    return path


@pytest.fixture
def png(pixels: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "photograph.png"
    Image.fromarray(pixels).save(path)
    return path


def test_size_and_scale_are_those_of_the_file(slide_path: Path) -> None:
    with inkdot.open_slide(slide_path) as slide, openslide.OpenSlide(slide_path) as expected:
        assert slide.size == expected.dimensions == (900, 700)
        assert slide.levels == expected.level_dimensions
        assert slide.level_downsamples == pytest.approx(expected.level_downsamples)
        assert slide.mpp == pytest.approx((MPP, MPP), rel=1e-4)
        assert slide.size_um == pytest.approx((450.0, 350.0), rel=1e-4)


def test_a_region_at_the_scale_of_level_0_has_the_pixels_that_openslide_reads(slide_path: Path) -> None:
    with inkdot.open_slide(slide_path) as slide, openslide.OpenSlide(slide_path) as expected:
        region = slide.read_region(100.0, 50.0, 64.0, 32.0, mpp=MPP)
        other = np.asarray(expected.read_region((200, 100), 0, (128, 64)))[..., :3]
    assert region.dtype == np.uint8
    assert region.shape == (64, 128, 3)
    assert np.abs(region.astype(int) - other).max() <= 1  # two JPEG decoders


@pytest.mark.parametrize("mpp", [0.8, 1.0, 2.0, 3.1])
def test_a_coarser_region_is_the_area_mean_of_level_0(
    slide_path: Path, pixels: np.ndarray, mpp: float
) -> None:
    with inkdot.open_slide(slide_path) as slide:
        region = slide.read_region(40.0, 30.0, 200.0, 124.0, mpp=mpp)
    crop = Image.fromarray(pixels[60:308, 80:480])
    expected = np.asarray(crop.resize((round(200 / mpp), round(124 / mpp)), Image.Resampling.BOX))
    assert region.shape == expected.shape
    assert np.abs(region.astype(int) - expected).mean() < 1.5


def test_beyond_the_slide_a_region_is_white(slide_path: Path) -> None:
    with inkdot.open_slide(slide_path) as slide:
        region = slide.read_region(-32.0, 340.0, 64.0, 32.0, mpp=MPP)
    assert (region[:, :60] == 255).all()
    assert (region[24:] == 255).all()
    assert (region[:16, 70:] < 255).any()


def test_pixels_that_are_not_square_give_a_region_that_is(png: Path, pixels: np.ndarray) -> None:
    from inkdot.api.slide import Slide, slide_entry
    from inkdot.slides.array_slide import ArraySlide

    mpp = Mpp(MicrometresPerPixel(0.5), MicrometresPerPixel(0.25))
    slide = Slide(ArraySlide(pixels, mpp), slide_entry(png))
    region = slide.read_region(50.0, 25.0, 100.0, 100.0, mpp=1.0)
    expected = np.asarray(Image.fromarray(pixels[100:500, 100:300]).resize((100, 100), Image.Resampling.BOX))
    assert np.abs(region.astype(int) - expected).mean() < 1.5


def test_the_thumbnail_shows_the_whole_slide(slide_path: Path, pixels: np.ndarray) -> None:
    with inkdot.open_slide(slide_path) as slide:
        thumbnail = slide.thumbnail(max_side=90)
    assert thumbnail.size == (90, 70)
    expected = np.asarray(Image.fromarray(pixels).resize((90, 70), Image.Resampling.BOX))
    assert np.abs(np.asarray(thumbnail).astype(int) - expected).mean() < 2


def test_nothing_of_the_files_texts_is_shown(slide_path: Path) -> None:
    with inkdot.open_slide(slide_path) as slide:
        shown = f"{slide.metadata} {slide!r} {slide._repr_html_()} {slide.warnings}"
    assert "Roe" not in shown
    assert "1970" not in shown
    assert "900 x 700 px" in shown


def test_an_image_without_a_scale_opens_and_refuses_what_is_physical(png: Path, pixels: np.ndarray) -> None:
    slide = inkdot.open_slide(png)
    assert slide.mpp is None
    assert slide.size == (900, 700)
    assert slide.metadata["mpp_x"] is None
    assert np.asarray(slide.thumbnail(900)).tolist() == pixels.tolist()
    assert "not stated" in repr(slide)
    for read in (
        lambda: slide.read_region(0, 0, 10, 10),
        lambda: slide.size_um,
        lambda: inkdot.find_clusters(slide),
    ):
        with pytest.raises(MissingMppError, match=r"or with mpp=$") as raised:
            read()
        assert "\n" not in str(raised.value)


def test_a_stated_scale_makes_an_image_readable(png: Path, pixels: np.ndarray) -> None:
    slide = inkdot.open_slide(png, mpp=0.25)
    assert slide.read_region(25.0, 50.0, 20.0, 10.0, mpp=0.25).tolist() == pixels[200:240, 100:180].tolist()


def test_more_detail_than_the_slide_holds_is_refused(slide_path: Path) -> None:
    with inkdot.open_slide(slide_path) as slide, pytest.raises(ResolutionError, match=r"0\.5 µm/px"):
        slide.read_region(0, 0, 10, 10, mpp=0.25)


@pytest.mark.parametrize(
    ("region", "mpp"),
    [
        ((0, 0, 0, 10), 0.5),
        ((0, 0, 10, -1), 0.5),
        ((float("nan"), 0, 10, 10), 0.5),
        ((0, 0, 10, 10), 0.0),
        ((0, 0, 1e6, 1e6), 0.5),
    ],
)
def test_impossible_regions_are_refused(slide_path: Path, region: tuple[float, ...], mpp: float) -> None:
    with inkdot.open_slide(slide_path) as slide, pytest.raises(UserError, match="expected"):
        slide.read_region(*region, mpp=mpp)


def test_files_that_are_no_slides_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.tif"
    text.write_text("no slide")
    with pytest.raises(UnreadableSlideError):
        inkdot.open_slide(text)
    with pytest.raises(ManifestError, match="nothing there"):
        inkdot.open_slide(tmp_path / "missing.svs")
    with pytest.raises(ManifestError, match=r"mpp=: expected micrometres per pixel"):
        inkdot.open_slide(text, mpp=-1)


def test_a_closed_slide_gives_no_pixels(png: Path) -> None:
    with inkdot.open_slide(png, mpp=0.5) as slide:
        pass
    with pytest.raises(ValueError, match="closed"):
        slide.read_region(0, 0, 10, 10)
