"""TIFFs that no decoder reads are named for what they are, before a decoder sees them."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from inkdot.errors import UnreadableSlideError
from inkdot.records import Mpp, SlideEntry, SlideInfo
from inkdot.slides import open_slide
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.slides.structure.empty_tiles import with_empty_areas
from inkdot.units import Level0Px, LevelPx

QUARTER = Mpp.square(0.25)
TILE_WIDTH, TILE_LENGTH, COMPRESSION, IMAGE_LENGTH = 322, 323, 259, 257
LONG = 4


def slide(path: Path) -> Path:
    rgb = np.clip(np.random.default_rng(0).normal(225, 6, (600, 600, 3)), 0, 255).astype(np.uint8)
    write_array_pyramid(path, rgb, mpp=QUARTER)
    return path


def with_tag(path: Path, number: int, value: int) -> Path:
    """Overwrite the value of a tag of every directory."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        for page in tiff.pages:
            at = page.tags[number].offset
            data[at + 2 : at + 4] = struct.pack("<H", LONG)
            data[at + 8 : at + 12] = struct.pack("<I", value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("width", [2**20, 2**28, 2**31 - 16])
def test_tiles_that_no_memory_holds_are_refused_before_openslide_ends_the_process(
    tmp_path: Path, width: int
) -> None:
    path = with_tag(slide(tmp_path / "a.tif"), TILE_WIDTH, width)
    with pytest.raises(
        UnreadableSlideError, match=rf"a\.tif: expected tiles of at most .* found {width:,} x"
    ):
        open_slide(SlideEntry("a", path))


@pytest.mark.parametrize(
    ("number", "name"),
    [(33003, "JPEG 2000"), (34712, "JPEG 2000"), (50001, "WebP"), (50002, "JPEG XL"), (52546, "JPEG XL")],
)
@pytest.mark.parametrize("tiled", [True, False])
def test_a_compression_that_is_not_decoded_is_named(
    tmp_path: Path, number: int, name: str, tiled: bool
) -> None:
    path = tmp_path / "a.tif"
    if tiled:
        slide(path)
    else:
        tifffile.imwrite(path, np.zeros((64, 64, 3), np.uint8), photometric="rgb", metadata=None)
    with_tag(path, COMPRESSION, number)
    with pytest.raises(UnreadableSlideError, match=rf"found {name} \(TIFF compression {number}\); export it"):
        open_slide(SlideEntry("a", path, mpp=QUARTER))


def test_a_compression_without_a_name_is_given_as_a_number(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlideError, match=r"found TIFF compression 65000; export it"):
        open_slide(SlideEntry("a", with_tag(slide(tmp_path / "a.tif"), COMPRESSION, 65000)))


def test_a_size_that_needs_more_tiles_than_are_listed_is_damage(tmp_path: Path) -> None:
    """OpenSlide takes the others for empty, and reads on for minutes."""
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path, np.full((300, 300, 3), 200, np.uint8), photometric="rgb", tile=(128, 128), compression="zlib"
    )
    open_slide(SlideEntry("a", path, mpp=QUARTER)).close()
    with_tag(path, IMAGE_LENGTH, 300_000)
    with pytest.raises(UnreadableSlideError, match=r"expected 7,032 tiles in image 0, .* found 9 listed"):
        open_slide(SlideEntry("a", path, mpp=QUARTER))


def test_a_tile_side_of_several_values_is_damage(tmp_path: Path) -> None:
    """tifffile gives it as an array without a sign."""
    path = tmp_path / "a.tif"
    rgb = np.full((300, 300, 3), 200, np.uint8)
    tifffile.imwrite(path, rgb, photometric="rgb", tile=(128, 128), metadata=None)
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags[TILE_LENGTH].offset
    data = bytearray(path.read_bytes())
    data[at + 4 : at + 8] = struct.pack("<I", 65536)
    path.write_bytes(data)
    with pytest.raises(UnreadableSlideError):
        open_slide(SlideEntry("a", path, mpp=QUARTER))


@pytest.mark.parametrize("offset", [2**63, 2**64 - 1])
def test_an_offset_of_more_than_63_bits_leaves_no_traceback(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "a.tif"
    rgb = np.full((600, 600, 3), 225, np.uint8)
    with tifffile.TiffWriter(
        path, bigtiff=True
    ) as writer:  # OpenSlide reads the coarsest level when it opens a file
        writer.write(rgb, photometric="rgb", tile=(256, 256), metadata=None)
        writer.write(rgb[::2, ::2], photometric="rgb", tile=(256, 256), metadata=None, subfiletype=1)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags[324].valueoffset
    for tile in range(9):
        data[at + 8 * tile : at + 8 * tile + 8] = struct.pack("<Q", offset - 7 * tile)
    path.write_bytes(data)
    info = SlideInfo(
        slide_id="s", size_l0_px=(Level0Px(600), Level0Px(600)), mpp=QUARTER, mpp_source="metadata",
        level_sizes_px=((LevelPx(600), LevelPx(600)),), level_downsamples=(1.0,),
    )  # fmt: skip
    assert with_empty_areas(info, path).warnings == ()  # left to the reader, which refuses it
