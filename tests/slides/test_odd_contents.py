"""What readers would pass over without a word: other pages, more bits, an orientation, colours in separate pages."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from inkdot.errors import UnreadableSlideError
from inkdot.geometry import plan_rectangle
from inkdot.records import Mpp, RgbArray, SlideEntry
from inkdot.slides import open_slide
from inkdot.slides.quality_warnings import COLOUR_PAGES, GREY

QUARTER = Mpp.square(0.25)
TILED = {"tile": (128, 128)}
FLAT: dict[str, Any] = {}


def scene() -> RgbArray:
    """Bright, with a red corner: of another colour in each quarter."""
    rng = np.random.default_rng(2)
    rgb = rng.integers(200, 250, (300, 420, 3), dtype=np.uint8)
    rgb[:100, :150] = (200, 30, 40)
    return rgb


def planes() -> RgbArray:
    return np.ascontiguousarray(scene().transpose(2, 0, 1))


def read(path: Path) -> tuple[RgbArray, tuple[str, ...]]:
    with closing(open_slide(SlideEntry("s", path, mpp=QUARTER))) as slide:
        info = slide.info
        return slide.read(plan_rectangle(info, 0, 0, 0, *info.size_l0_px)), info.warnings


def written(path: Path, pixels: Any, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, **options)
    return path


@pytest.mark.parametrize("layout", [TILED, FLAT], ids=["tiled", "flat"])
@pytest.mark.parametrize("metadata", [{"axes": "CYX"}, None], ids=["ome", "plain"])
def test_three_grey_pages_are_one_image_in_colour(
    tmp_path: Path, layout: dict[str, Any], metadata: dict[str, Any] | None
) -> None:
    name = "a.ome.tif" if metadata else "a.tif"
    path = written(tmp_path / name, planes(), photometric="minisblack", metadata=metadata, **layout)
    pixels, warnings = read(path)
    assert np.array_equal(pixels, scene())
    assert warnings == (COLOUR_PAGES,)


@pytest.mark.parametrize("layout", [TILED, FLAT], ids=["tiled", "flat"])
@pytest.mark.parametrize("count", [2, 4, 5])
def test_other_numbers_of_grey_pages_are_refused(tmp_path: Path, layout: dict[str, Any], count: int) -> None:
    stack = np.stack([scene()[..., 0]] * count)
    path = written(tmp_path / "a.tif", stack, photometric="minisblack", **layout)
    with pytest.raises(UnreadableSlideError, match=rf"found {count} grey pages of one size"):
        read(path)


@pytest.mark.parametrize("layout", [TILED, FLAT], ids=["tiled", "flat"])
def test_one_channel_of_an_ome_tiff_of_several_files_is_refused(
    tmp_path: Path, layout: dict[str, Any]
) -> None:
    ome = '<OME><Image><Pixels SizeC="3" SizeZ="1" DimensionOrder="XYCZT"/></Image></OME>'
    path = written(
        tmp_path / "a.tif",
        scene()[..., 0],
        photometric="minisblack",
        description=ome,
        metadata=None,
        **layout,
    )
    with pytest.raises(UnreadableSlideError, match="found 3 grey channels"):
        read(path)


def test_colours_that_the_file_calls_grey_are_refused(tmp_path: Path) -> None:
    """OpenSlide shows the first of them."""
    path = written(tmp_path / "a.tif", scene(), photometric="minisblack", planarconfig="contig", **TILED)
    with pytest.raises(UnreadableSlideError, match="found 3 grey channels"):
        read(path)


@pytest.mark.parametrize("layout", [TILED, FLAT], ids=["tiled", "flat"])
def test_one_grey_page_is_named(tmp_path: Path, layout: dict[str, Any]) -> None:
    path = written(tmp_path / "a.tif", scene()[..., 0], photometric="minisblack", **layout)
    assert read(path)[1] == (GREY,)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_grey_photograph_is_named(tmp_path: Path, name: str) -> None:
    Image.fromarray(scene()[..., 0]).save(tmp_path / name)
    assert read(tmp_path / name)[1] == (GREY,)


@pytest.mark.parametrize("layout", [TILED, FLAT], ids=["tiled", "flat"])
def test_planes_beyond_the_first_are_named(tmp_path: Path, layout: dict[str, Any]) -> None:
    path = written(tmp_path / "a.tif", np.stack([scene()] * 5), photometric="rgb", **layout)
    pixels, warnings = read(path)
    assert warnings == ("only the first of 5 pages is read",)
    assert np.array_equal(pixels, scene())


@pytest.mark.parametrize("layout", [TILED, FLAT], ids=["tiled", "flat"])
@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.int8])
def test_other_than_8_bits_are_refused(tmp_path: Path, layout: dict[str, Any], kind: type[Any]) -> None:
    path = written(tmp_path / "a.tif", scene().astype(kind), photometric="rgb", **layout)
    with pytest.raises(UnreadableSlideError):  # by OpenSlide or Pillow, or for its bits
        read(path)


@pytest.mark.parametrize("layout", [TILED, FLAT], ids=["tiled", "flat"])
def test_12_bits_in_16_are_refused_by_their_number(tmp_path: Path, layout: dict[str, Any]) -> None:
    path = written(tmp_path / "a.tif", scene().astype(np.uint16) * 16, photometric="rgb", **layout)
    with pytest.raises(
        UnreadableSlideError, match=r"expected 8 bits per channel, found 16; export it as 8-bit"
    ):
        read(path)


def test_a_png_of_16_bits_is_refused(tmp_path: Path) -> None:
    """Pillow reads its upper half as RGB, without a word."""
    import cv2  # Pillow writes no such file

    cv2.imwrite(str(tmp_path / "a.png"), scene().astype(np.uint16) * 16)
    with pytest.raises(UnreadableSlideError, match="expected 8 bits per channel, found 16"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("name", ["a.tif", "a.jpg", "a.png"])
def test_an_orientation_is_named_and_not_applied(tmp_path: Path, name: str, orientation: int) -> None:
    path = tmp_path / name
    exif = Image.Exif()
    exif[274] = orientation
    if name == "a.tif":
        tag = (274, 3, 1, orientation, True)
        written(path, scene(), photometric="rgb", extratags=[tag], metadata=None)
    else:
        Image.fromarray(scene()).save(path, exif=exif, **({"quality": 95} if name == "a.jpg" else {}))
    pixels, warnings = read(path)
    assert pixels.shape == scene().shape
    assert np.abs(pixels.astype(int) - scene())[20:80, 20:130].mean() < 5
    assert warnings == (
        f"orientation {orientation} of the file is not applied: rows and columns are as stored",
    )


def test_tiles_that_would_be_turned_one_by_one_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", scene(), photometric="rgb", extratags=[(274, 3, 1, 3, True)], **TILED)
    with pytest.raises(UnreadableSlideError, match="found orientation 3; export it without rotation"):
        read(path)
