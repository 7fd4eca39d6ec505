"""Damage that OpenSlide reads without a word is damage in every format whose encoded tiles can be found."""

import importlib.util
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import openslide
import pytest
import simplejpeg  # pyright: ignore[reportMissingTypeStubs]
import tifffile
from fixtures.mirax_slide import write_mirax

from inkdot.config import config_from_mapping
from inkdot.errors import UnreadableSlideError
from inkdot.geometry import plan_rectangle
from inkdot.pipeline.inspect_slide import inspect_slide
from inkdot.records import Mpp, RgbArray, SlideEntry
from inkdot.slides import open_slide
from inkdot.slides.openslide_backend import OpenSlideSlide
from inkdot.slides.structure.dicom_frames import dicom_tiles
from inkdot.slides.structure.encoded_tiles import EncodedTiles, tiff_tiles
from inkdot.slides.structure.mirax_frames import mirax_tiles
from inkdot.slides.structure.tiff_structure import TiffPage, TiffStructure

SIDE = 928
MPP = Mpp.square(0.5)
MakeTiles = Callable[[Path], tuple[Path, list[EncodedTiles]]]


def grain(side: int = SIDE) -> RgbArray:
    rng = np.random.default_rng(0)
    noise = np.clip(rng.normal(200, 60, (side, side, 3)), 0, 255).astype(np.float32)
    return np.ascontiguousarray(cv2.GaussianBlur(noise, (0, 0), 1.5).astype(np.uint8))


@pytest.fixture(scope="session")
def slide_files() -> ModuleType:
    """The writers of the fuzzer."""
    path = Path(__file__).parents[2] / "scripts" / "fuzz" / "slide_files.py"
    spec = importlib.util.spec_from_file_location("fuzz_slide_files", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tiles_of_240_px(folder: Path) -> tuple[Path, list[EncodedTiles]]:
    """No multiple of 16 pixels a side: left to OpenSlide, as those of some Aperio slides are."""
    path, rgb, side = folder / "a.tif", grain(), 240
    page = TiffPage((SIDE, SIDE), (20000.0, 20000.0))
    with path.open("wb") as file:
        tiff = TiffStructure(file, big=False, tile_side_px=side, subsampling=(1, 1))
        for top in range(0, SIDE, side):
            for left in range(0, SIDE, side):
                tile = np.full((side, side, 3), 255, np.uint8)
                part = rgb[top : top + side, left : left + side]
                tile[: part.shape[0], : part.shape[1]] = part
                encoded = simplejpeg.encode_jpeg(tile, 90, colorsubsampling="444")
                page.offsets.append(tiff.add_tile(encoded))
                page.lengths.append(len(encoded))
        tiff.finish([page], description="", software="")
    return path, tiff_tiles(path)


def deflated(folder: Path) -> tuple[Path, list[EncodedTiles]]:
    path = folder / "a.tif"
    tifffile.imwrite(
        path, grain(), photometric="rgb", tile=(256, 256), compression="zlib", metadata=None,
        resolution=(20000, 20000), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path, tiff_tiles(path)


def mirax(folder: Path) -> tuple[Path, list[EncodedTiles]]:
    path = folder / "a.mrxs"
    write_mirax(path, grain())
    return path, mirax_tiles(path, ((SIDE, SIDE), (SIDE // 2, SIDE // 2)))


@pytest.fixture
def dicom(slide_files: ModuleType) -> MakeTiles:
    def make(folder: Path) -> tuple[Path, list[EncodedTiles]]:
        path = folder / "a.dcm"
        slide_files.write_dicom(path, grain()[:768, :768])
        return path, dicom_tiles(path)

    return make


@pytest.fixture(params=["tiff", "deflate", "mirax", "dicom"])
def made(request: pytest.FixtureRequest, tmp_path: Path, dicom: MakeTiles) -> tuple[Path, list[EncodedTiles]]:
    makers: dict[str, MakeTiles] = {
        "tiff": tiles_of_240_px,
        "deflate": deflated,
        "mirax": mirax,
        "dicom": dicom,
    }
    return makers[request.param](tmp_path)


def damage(tiles: EncodedTiles, index: int, path: Path, seed: int) -> None:
    """Overwrite 200 bytes of a tile."""
    file, rng = tiles.path_of(index), np.random.default_rng(seed)
    data = bytearray(file.read_bytes())
    start = int(tiles.offsets[index]) + int(tiles.lengths[index]) // 2
    data[start : start + 200] = rng.integers(0, 256, 200, np.uint8).tobytes()
    file.write_bytes(data)


def read(path: Path, x: int = 0, y: int = 0, side: int | None = None, level: int = 0) -> RgbArray:
    with closing(open_slide(SlideEntry("s", path, mpp=MPP))) as slide:
        width, height = (side, side) if side else slide.info.size_l0_px
        return slide.read(plan_rectangle(slide.info, level, x, y, width, height))


def silent_damage(path: Path, tiles: EncodedTiles) -> int:
    """Damage the last tile so that OpenSlide reads other pixels without a word; returns its index."""
    index, file = len(tiles.offsets) - 1, tiles.path_of(0)
    intact = file.read_bytes()
    x, y = (
        int(place * side)
        for place, side in zip(divmod(index, tiles.columns)[::-1], tiles.tile_size_px, strict=True)
    )
    with openslide.OpenSlide(path) as handle:
        before = np.asarray(handle.read_region((x, y), 0, (200, 200)))
    for seed in range(200):
        damage(tiles, index, path, seed)
        try:
            with openslide.OpenSlide(path) as handle:
                after = np.asarray(handle.read_region((x, y), 0, (200, 200)))
        except openslide.OpenSlideError:
            after = before
        try:
            tiles.check(file.read_bytes()[int(tiles.offsets[index]) :][: int(tiles.lengths[index])])
        except ValueError:
            if (after != before).mean() > 0.01:
                return index
        file.write_bytes(intact)
    pytest.fail("OpenSlide named all damage: the check is not needed")


def test_damage_that_openslide_does_not_notice_is_refused_where_it_is_read(
    made: tuple[Path, list[EncodedTiles]],
) -> None:
    path, levels = made
    intact = read(path)
    silent_damage(path, levels[0])
    place = r"column \d, row \d of level 0, level-0 px \(\d+, \d+\) "
    with pytest.raises(
        UnreadableSlideError, match=f"expected readable pixels, found a damaged tile at {place}"
    ):
        read(path)
    assert np.array_equal(read(path, side=200), intact[:200, :200])  # others still can be read
    with closing(open_slide(SlideEntry("s", path, mpp=MPP))) as slide:
        plan = plan_rectangle(slide.info, 0, 0, 0, *slide.info.size_l0_px)
        for _ in range(2):  # it does not become sound by being read once
            with pytest.raises(UnreadableSlideError):
                slide.read(plan)
        slide.read(plan_rectangle(slide.info, 0, 0, 0, 100, 100))


def test_doctor_finds_it_wherever_it_is(tmp_path: Path, dicom: MakeTiles) -> None:
    path, levels = dicom(tmp_path)
    config = config_from_mapping({"tiling": {"mode": "grid", "side_px": 64, "mpp": 0.5, "stride_px": 64}})
    assert inspect_slide(SlideEntry("s", path, mpp=MPP), config).problem == ""
    silent_damage(path, levels[0])
    assert "found a damaged tile" in inspect_slide(SlideEntry("s", path, mpp=MPP), config).problem


def test_tiles_of_a_coarser_level_are_those_of_that_level(tmp_path: Path) -> None:
    path, levels = mirax(tmp_path)
    intact = read(path, level=1)
    silent_damage(path, levels[0])
    assert np.array_equal(read(path, level=1), intact)
    damage(levels[1], 0, path, 3)
    with pytest.raises(UnreadableSlideError, match="level 1"):
        read(path, level=1)


def test_every_tile_is_found_in_its_place(made: tuple[Path, list[EncodedTiles]]) -> None:
    """A tile is refused where its own pixels are read, and never where those two tiles away are."""
    path, levels = made
    tiles = levels[0]
    intact = tiles.path_of(0).read_bytes()
    rows = len(tiles.offsets) // tiles.columns
    last = len(tiles.offsets) - 1
    for index in (0, tiles.columns - 1, tiles.columns + 1, last):
        damage(tiles, index, path, seed=1)
        row, column = divmod(index, tiles.columns)
        x, y = (
            int((place + 0.5) * side) for place, side in zip((column, row), tiles.tile_size_px, strict=True)
        )
        with pytest.raises(UnreadableSlideError):
            read(path, min(x, tiles.size_px[0] - 9), min(y, tiles.size_px[1] - 9), 8)
        away = (column + 2) % tiles.columns, (row + 2) % rows
        if max(abs(away[0] - column), abs(away[1] - row)) > 1:
            x, y = (int((place + 0.5) * side) for place, side in zip(away, tiles.tile_size_px, strict=True))
            with closing(OpenSlideSlide(SlideEntry("s", path, mpp=MPP))) as slide:
                slide.check_contents()
                slide.read(
                    plan_rectangle(
                        slide.info, 0, min(x, tiles.size_px[0] - 9), min(y, tiles.size_px[1] - 9), 8, 8
                    )
                )
        tiles.path_of(0).write_bytes(intact)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["gcp-jpeg.dcm", "hamamatsu-test3-DAPI-2-387.ndpi"])
def test_real_slides_are_sound_and_their_damage_is_noticed(
    name: str, real_data: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    shutil.copyfile(real_data / "slides" / name, path)
    read(path)
    tiles = dicom_tiles(path)[0] if path.suffix == ".dcm" else tiff_tiles(path)[0]
    for index in np.linspace(0, len(tiles.offsets) - 1, 12).astype(int).tolist():
        tiles.check(path.read_bytes()[int(tiles.offsets[index]) :][: int(tiles.lengths[index])])
    index = int(np.argmax(tiles.lengths))
    damage(tiles, index, path, 1)
    row, column = divmod(index, tiles.columns)
    with pytest.raises(UnreadableSlideError, match=f"column {column}, row {row} of level 0"):
        read(path)
