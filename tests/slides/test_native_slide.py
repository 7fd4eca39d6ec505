"""The native reader is held against OpenSlide, on files in the dialects that scanners write."""

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
import tifffile

from inkdot.errors import UnreadableSlideError
from inkdot.geometry import grid_positions, plan_rectangle
from inkdot.records import Mpp, ReducingSlide, RgbArray, Slide, SlideEntry, TileSpec
from inkdot.slides import open_slide
from inkdot.slides.array_slide import pyramid_of
from inkdot.slides.native_slide import NativeSlide
from inkdot.slides.openslide_backend import OpenSlideSlide
from inkdot.slides.structure.native_structure import find_native_levels
from inkdot.tiling.tile_pixels import read_tile, read_tiles
from inkdot.units import MicrometresPerPixel, TilePx

MPP = Mpp.square(0.25)
SIZE_PX = (1333, 1101)


def textured(width: int, height: int) -> RgbArray:
    """Pink tissue with dark, sharp-edged nuclei of about 7 µm, and glass in one corner."""
    rng = np.random.default_rng(5)
    rgb = np.full((height, width, 3), (228, 190, 212), np.float32)
    for scale, strength in ((64, 14.0), (16, 9.0), (4, 6.0), (1, 3.0)):
        noise = rng.standard_normal((height // scale + 2, width // scale + 2, 3)).astype(np.float32)
        rgb += strength * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(width * height // 4000):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        axes = (int(rng.integers(10, 18)), int(rng.integers(9, 15)))
        colour = [float(c) for c in rng.normal((95, 60, 140), 12)]
        cv2.ellipse(rgb, centre, axes, float(rng.integers(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    rgb[: height // 5, : width // 4] = 244
    return np.clip(rgb, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Dialect:
    """How a file keeps its tiles."""

    name: str
    rgb: bool = False
    subsampling: str = "420"
    tables: bool = False
    tile_px: int = 256
    downsamples: tuple[float, ...] = (1, 2, 4)


DIALECTS = (
    Dialect("whole streams", downsamples=(1, 4)),
    Dialect("tables", tables=True),
    Dialect("422 tables", subsampling="422", tables=True),
    Dialect("444 tables", subsampling="444", tables=True, tile_px=240, downsamples=(1, 3)),
    Dialect("444", subsampling="444", tile_px=512),
    Dialect("RGB like Aperio", rgb=True, subsampling="420", tables=True, tile_px=240, downsamples=(1, 4)),
    Dialect("RGB 422", rgb=True, subsampling="422", tables=True),
    Dialect("RGB 444", rgb=True, subsampling="444"),
)


def encoded(tile: RgbArray, dialect: Dialect) -> bytes:
    if not dialect.rgb:
        return simplejpeg.encode_jpeg(tile, 80, colorspace="RGB", colorsubsampling=dialect.subsampling)
    across, down = SUBSAMPLING[dialect.subsampling]
    red, green, blue = (np.ascontiguousarray(tile[..., channel]) for channel in range(3))
    half = (tile.shape[1] // across, tile.shape[0] // down)
    planes = [red, *(cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (green, blue))]
    return simplejpeg.encode_jpeg_yuv_planes(*planes, 80)  # three planes, whatever they mean


SUBSAMPLING = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}


def split(stream: bytes) -> tuple[bytes, bytes]:
    """Cut a JPEG into a stream of tables and a stream of the rest, without application markers."""
    tables, rest, at = b"\xff\xd8", b"\xff\xd8", 2
    while stream[at + 1] != 0xDA:
        length = 2 + struct.unpack(">H", stream[at + 2 : at + 4])[0]
        segment = stream[at : at + length]
        if stream[at + 1] in (0xDB, 0xC4):
            tables += segment
        elif not 0xE0 <= stream[at + 1] <= 0xEF:
            rest += segment
        at += length
    return tables + b"\xff\xd9", rest + stream[at:]


def tiles_of(level: RgbArray, side: int) -> Iterator[RgbArray]:
    height, width = level.shape[:2]
    padded = np.pad(level, ((0, -height % side), (0, -width % side), (0, 0)), mode="edge")
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield np.ascontiguousarray(padded[y : y + side, x : x + side])


def write(path: Path, dialect: Dialect, levels: list[RgbArray]) -> Path:
    """A classic little-endian TIFF with one directory per level (tifffile encodes JPEG only with imagecodecs)."""
    body, directories = bytearray(struct.pack("<2sHI", b"II", 42, 0)), []
    for index, level in enumerate(levels):
        streams = [encoded(tile, dialect) for tile in tiles_of(level, dialect.tile_px)]
        tables = split(streams[0])[0] if dialect.tables else b""
        offsets: list[int] = []
        streams = [split(stream)[1] if dialect.tables else stream for stream in streams]
        for stream in streams:
            offsets.append(len(body))
            body += stream
        longs = {
            254: [1 if index else 0],
            256: [level.shape[1]],
            257: [level.shape[0]],
            322: [dialect.tile_px],
            323: [dialect.tile_px],
            324: offsets,
            325: [len(stream) for stream in streams],
        }
        shorts = {258: [8, 8, 8], 259: [7], 262: [2 if dialect.rgb else 6], 277: [3], 284: [1]}
        shorts[530] = list(SUBSAMPLING[dialect.subsampling])
        tags = {number: (4, len(v), struct.pack(f"<{len(v)}I", *v)) for number, v in longs.items()}
        tags |= {number: (3, len(v), struct.pack(f"<{len(v)}H", *v)) for number, v in shorts.items()}
        if tables:
            tags[347] = (7, len(tables), tables)
        directories.append(tags)
    link_at = 4
    for tags in directories:
        entries = b""
        for number, (kind, count, value) in sorted(tags.items()):
            if len(value) > 4:
                body += b"\0" * (len(body) % 2)
                value, at = struct.pack("<I", len(body)), value
                body += at
            entries += struct.pack("<HHI", number, kind, count) + value.ljust(4, b"\0")
        body += b"\0" * (len(body) % 2)
        struct.pack_into("<I", body, link_at, len(body))
        body += struct.pack("<H", len(tags)) + entries + b"\0" * 4
        link_at = len(body) - 4
    path.write_bytes(body)
    return path


@pytest.fixture(scope="module")
def image() -> RgbArray:
    return textured(*SIZE_PX)


@pytest.fixture(scope="module", params=DIALECTS, ids=lambda dialect: dialect.name)
def path(request: pytest.FixtureRequest, image: RgbArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    dialect = request.param
    levels = pyramid_of(image, dialect.downsamples)
    return write(tmp_path_factory.mktemp("native") / "slide.tif", dialect, levels)


@pytest.fixture(scope="module")
def one_level(image: RgbArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("one") / "level.tif", Dialect("one level"), [image])


def native(path: Path, *, dct_scaling: bool = True) -> NativeSlide:
    slide = open_slide(SlideEntry("s", path, mpp=MPP), dct_scaling=dct_scaling)
    assert isinstance(slide, NativeSlide)
    assert isinstance(slide, ReducingSlide)
    return slide


def reference(path: Path) -> OpenSlideSlide:
    return OpenSlideSlide(SlideEntry("s", path, mpp=MPP))


def spec(mpp: float, side: int = 128, stride: int | None = None) -> TileSpec:
    return TileSpec(TilePx(side), MicrometresPerPixel(mpp), TilePx(stride or side))


def test_it_says_what_openslide_says(path: Path) -> None:
    with closing(native(path)) as slide, closing(reference(path)) as other:
        assert slide.info == other.info


def test_level_0_is_equal(path: Path, image: RgbArray) -> None:
    rng = np.random.default_rng(1)
    with closing(native(path)) as slide, closing(reference(path)) as other:
        for x, y in [(-90, -40), (1200, 1000), (0, 0), *rng.integers(-200, 1300, (12, 2)).tolist()]:
            plan = plan_rectangle(slide.info, 0, x, y, *rng.integers(1, 600, 2).tolist())
            assert np.array_equal(slide.read(plan), other.read(plan))
        # Both could be wrong together: colours must be those that were painted.
        whole = slide.read(plan_rectangle(slide.info, 0, 0, 0, *SIZE_PX))
        assert np.abs(whole.astype(int) - image).mean() < 5


def test_coarser_levels_agree_between_pixels_too(path: Path) -> None:
    rng = np.random.default_rng(2)
    with closing(native(path)) as slide, closing(reference(path)) as other:
        for level in range(1, len(slide.info.level_downsamples)):
            for x, y in rng.integers(0, 1200, (12, 2)).tolist():
                plan = plan_rectangle(slide.info, level, x, y, *rng.integers(40, 900, 2).tolist())
                difference = np.abs(slide.read(plan).astype(int) - other.read(plan))
                assert difference.max() <= 3
                assert difference.mean() < 0.5


def test_thumbnails_agree(path: Path) -> None:
    with closing(native(path)) as slide, closing(reference(path)) as other:
        for side in (100, 500, 3000):
            mine, theirs = slide.thumbnail(side), other.thumbnail(side)
            assert mine.shape == theirs.shape
            assert np.abs(mine.astype(int) - theirs).mean() < 0.5


@pytest.mark.parametrize("target_mpp", [0.25, 0.26, 0.5, 0.61, 1.0, 2.0])
def test_without_dct_scaling_tiles_are_those_of_openslide(path: Path, target_mpp: float) -> None:
    with closing(native(path, dct_scaling=False)) as slide, closing(reference(path)) as other:
        for x, y in ((0, 0), (301, 207), (950, 800)):
            mine, theirs = (read_tile(s, spec(target_mpp), x, y).astype(int) for s in (slide, other))
            assert np.abs(mine - theirs).max() <= (0 if target_mpp < 0.5 else 3)


@pytest.mark.parametrize("target_mpp", [0.25, 0.5, 1.0, 2.0, 0.43, 1.1])
def test_without_dct_scaling_nothing_differs(one_level: Path, target_mpp: float) -> None:
    """Whole blocks of pixels are shrunk native tile by native tile, which must not show."""
    rng = np.random.default_rng(4)
    corners = [
        (0, 0),
        (-8, 16),
        (1208, 40),
        (16, 32),
        (17, 32),
        (16, 33),
        *rng.integers(0, 700, (6, 2)).tolist(),
    ]
    with closing(native(one_level, dct_scaling=False)) as slide, closing(reference(one_level)) as other:
        for x, y in corners:
            assert np.array_equal(*(read_tile(each, spec(target_mpp, 64), x, y) for each in (slide, other)))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_dct_scaling_stays_within_its_bound(one_level: Path, factor: int) -> None:
    """Against decoding everything and taking area means."""
    tile_spec = spec(0.25 * factor, side=96)
    with closing(native(one_level)) as fast, closing(native(one_level, dct_scaling=False)) as slow:
        for x, y in ((300, 304), (factor * 30, factor * 31)):
            mine, theirs = (
                read_tile(each, tile_spec, x // factor * factor, y // factor * factor)
                for each in (fast, slow)
            )
            difference = np.abs(mine.astype(int) - theirs)
            assert 0 < difference.mean() < 1.5
            assert np.quantile(difference, 0.99) <= 8
            assert difference.max() <= 40


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_corners_between_shrunk_pixels_are_met(one_level: Path, factor: int) -> None:
    """Half-way is the worst; the nearest tile on shrunk pixels would be twice as wrong."""
    tile_spec, half = spec(0.25 * factor, side=96), factor // 2
    with closing(native(one_level)) as fast, closing(native(one_level, dct_scaling=False)) as slow:
        right = read_tile(slow, tile_spec, 304 + half, 320 + half).astype(int)
        difference = np.abs(read_tile(fast, tile_spec, 304 + half, 320 + half) - right).mean()
        rounded = np.abs(read_tile(slow, tile_spec, 304 + factor, 320 + factor) - right).mean()
        assert difference < 5.0
        assert difference < 0.5 * rounded


@pytest.mark.parametrize("target_mpp", [0.494, 0.5, 0.53, 0.72, 0.97])
def test_nothing_moves_by_shrinking(one_level: Path, target_mpp: float) -> None:
    """Found by correlation: where each tile lies against the one whose every pixel was decoded."""
    with closing(native(one_level)) as fast, closing(native(one_level, dct_scaling=False)) as slow:
        for x, y in ((300, 304), (301, 305)):
            mine, right = (
                cv2.cvtColor(read_tile(each, spec(target_mpp, 192), x, y), cv2.COLOR_RGB2GRAY).astype(
                    np.float32
                )
                for each in (fast, slow)
            )
            shift, _ = cv2.phaseCorrelate(mine, right)
            # Lengths are rounded to whole reduced pixels: at 0.494, 189.5 of them to 190.
            assert np.abs(shift).max() < 0.125


@pytest.mark.parametrize(("target_mpp", "sides"), [(0.49, 64), (0.495, 64), (0.5, 64), (0.99, 64), (1.7, 64)])
def test_it_shrinks_only_as_far_as_enough_is_left(one_level: Path, target_mpp: float, sides: int) -> None:
    with closing(native(one_level)) as slide:
        side_l0 = sides * target_mpp / 0.25
        plan = plan_rectangle(slide.info, 0, 64, 64, side_l0, side_l0)
        height, width = slide.read_reduced(plan, sides, sides).shape[:2]
        assert height == width >= 0.98 * sides - 0.5
        assert width <= 2.02 * sides


def test_reduced_pixels_beyond_the_slide_are_white(one_level: Path) -> None:
    with closing(native(one_level)) as slide:
        plan = plan_rectangle(slide.info, 0, SIZE_PX[0] - 100, -100, 400, 400)
        pixels = slide.read_reduced(plan, 200, 200)
        assert pixels.shape == (200, 200, 3)
        assert (pixels[:, 50:] == 255).all()
        assert (pixels[:50] == 255).all()
        assert (pixels[50:, :49] < 255).any()


@pytest.mark.parametrize("dct_scaling", [True, False])
@pytest.mark.parametrize("target_mpp", [0.25, 0.5, 0.53, 1.0])
def test_a_table_gives_the_tiles_that_single_reads_give(
    one_level: Path, target_mpp: float, dct_scaling: bool
) -> None:
    tiling = spec(target_mpp, side=128, stride=75)  # overlapping, never on the native grid
    with closing(native(one_level, dct_scaling=dct_scaling)) as slide:
        at = list(grid_positions(slide.info, tiling))
        batch = list(read_tiles(slide, tiling, [x for x, _ in at], [y for _, y in at]))
    assert len(batch) > 10
    for (x, y), tile in list(zip(at, batch, strict=True))[::5]:
        with closing(native(one_level, dct_scaling=dct_scaling)) as alone:
            assert np.array_equal(tile, read_tile(alone, tiling, x, y))


class CountingSlide(NativeSlide):
    """Notes which native tiles are decoded."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # pyright: ignore
        self.decoded: list[tuple[int, int]] = []

    def _decode(self, plane: object, column: int, row: int, into: RgbArray) -> None:
        self.decoded.append((row, column))
        super()._decode(plane, column, row, into)  # pyright: ignore


@pytest.mark.parametrize("dct_scaling", [True, False])
def test_each_native_tile_is_decoded_once(one_level: Path, dct_scaling: bool) -> None:
    with closing(reference(one_level)) as other:
        info = other.info
    levels = find_native_levels(one_level, info.level_sizes_px)
    assert levels is not None
    tiling = spec(0.5, side=96, stride=41)
    with closing(CountingSlide(one_level, info, levels, dct_scaling=dct_scaling)) as slide:
        at = list(grid_positions(info, tiling))
        count = sum(1 for _ in read_tiles(slide, tiling, [x for x, _ in at], [y for _, y in at]))
        assert count == len(at) > 100
        assert len(slide.decoded) == len(set(slide.decoded)) == len(levels[0].lengths)
        assert [row for row, _ in slide.decoded] == sorted(row for row, _ in slide.decoded)


def test_threads_may_share_a_slide(one_level: Path) -> None:
    tiling = spec(0.5, side=64, stride=50)
    with closing(native(one_level)) as slide:
        at = list(grid_positions(slide.info, tiling))
        expected = list(read_tiles(slide, tiling, [x for x, _ in at], [y for _, y in at]))
        with ThreadPoolExecutor(4) as pool:
            tiles = list(pool.map(lambda corner: read_tile(slide, tiling, *corner), at))
    assert all(np.array_equal(*pair) for pair in zip(tiles, expected, strict=True))


def test_odd_tags_are_left_to_openslide_without_a_word(
    one_level: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(one_level.read_bytes())
    with tifffile.TiffFile(one_level) as tiff:
        tag = tiff.pages[0].tags[325]
        struct.pack_into("<I", data, tag.offset + 8, len(data) + 1000)  # the byte counts lie beyond the file
    path = tmp_path / "odd.tif"
    path.write_bytes(data)
    assert find_native_levels(path, [SIZE_PX]) is None
    assert capfd.readouterr() == ("", "")


def test_a_damaged_tile_is_named_and_others_are_read(one_level: Path, tmp_path: Path) -> None:
    with closing(reference(one_level)) as other:
        levels = find_native_levels(one_level, other.info.level_sizes_px)
        assert levels is not None
        expected = other.read(plan_rectangle(other.info, 0, 0, 512, 256, 256))
    row, column = 1, 2
    index = row * levels[0].columns + column
    data = bytearray(one_level.read_bytes())
    middle = int(levels[0].offsets[index] + levels[0].lengths[index] // 2)
    data[middle : middle + 64] = b"\xff\xd9" * 32  # an end in the middle: half the tile is missing
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(data)
    with closing(native(damaged)) as slide:
        for factor in (1, 2):
            plan = plan_rectangle(slide.info, 0, 500, 250, 100, 100)
            with pytest.raises(
                UnreadableSlideError, match=r"damaged\.tif.*column 2, row 1 of level 0, .*\(512, 256\)"
            ):
                slide.read_reduced(plan, 100 // factor, 100 // factor)
        assert np.array_equal(slide.read(plan_rectangle(slide.info, 0, 0, 512, 256, 256)), expected)


def test_a_tile_beyond_the_end_of_the_file_is_named(one_level: Path) -> None:
    with closing(reference(one_level)) as other:
        info = other.info
    levels = find_native_levels(one_level, info.level_sizes_px)
    assert levels is not None
    offsets = levels[0].offsets + one_level.stat().st_size
    with (
        closing(NativeSlide(one_level, info, (replace(levels[0], offsets=offsets),))) as slide,
        pytest.raises(UnreadableSlideError, match=r"column 0, row 0 of level 0.*file ends before it"),
    ):
        slide.read(plan_rectangle(info, 0, 0, 0, 10, 10))


def test_a_closed_slide_is_not_read(one_level: Path) -> None:
    slide = native(one_level)
    slide.close()
    with pytest.raises(ValueError, match="closed"):
        slide.read(plan_rectangle(slide.info, 0, 0, 0, 10, 10))


def opened_as(path: Path) -> type[Slide]:
    with closing(open_slide(SlideEntry("s", path, mpp=MPP))) as slide:
        assert slide.read(plan_rectangle(slide.info, 0, 0, 0, 64, 64)).shape == (64, 64, 3)
        return type(slide)


def test_other_compressions_go_through_openslide(tmp_path: Path, image: RgbArray) -> None:
    for name, how in {
        "deflate": {"compression": "zlib"},
        "planes": {"planarconfig": "separate", "compression": "zlib"},
        "plain": {},
    }.items():
        path = tmp_path / f"{name}.tif"
        pixels = np.moveaxis(image, 2, 0) if name == "planes" else image
        tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256), metadata=None, **how)
        assert opened_as(path) is OpenSlideSlide


def test_tiles_left_out_of_the_file_go_through_openslide(one_level: Path, tmp_path: Path) -> None:
    data = bytearray(one_level.read_bytes())
    with tifffile.TiffFile(one_level) as tiff:
        tag = tiff.pages[0].tags[325]
        struct.pack_into("<I", data, tag.valueoffset + 4 * (tag.count - 1), 0)
    path = tmp_path / "sparse.tif"
    path.write_bytes(data)
    assert opened_as(path) is OpenSlideSlide


def test_two_images_of_one_size_go_through_openslide(tmp_path: Path, image: RgbArray) -> None:
    assert opened_as(write(tmp_path / "planes.tif", Dialect("x"), [image, image])) is OpenSlideSlide


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "oral-scc-he-no-mpp.tif"])
def test_real_slides_agree(real_data: Path, name: str) -> None:
    path = real_data / "slides" / name
    rng = np.random.default_rng(3)
    with closing(native(path)) as fast, closing(reference(path)) as other:
        for level, downsample in enumerate(other.info.level_downsamples):
            for at in range(12):
                x, y = (int(rng.integers(0, side)) for side in other.info.size_l0_px)
                if at < 3:
                    x, y = x - x % round(downsample), y - y % round(downsample)
                side = int(rng.integers(1, 1500)) * downsample
                plan = plan_rectangle(other.info, level, x, y, side, 0.7 * side)
                difference = np.abs(fast.read(plan).astype(int) - other.read(plan))
                assert difference.max() <= (3 if level and at >= 3 else 0)
        with closing(native(path, dct_scaling=False)) as slow:
            differences = []
            for _ in range(30):
                x, y = (int(rng.integers(0, side - 512)) // 2 * 2 for side in other.info.size_l0_px)
                tiles = [read_tile(each, spec(0.49, 250), x, y) for each in (slow, other)]
                assert np.array_equal(*tiles)
                wide = plan_rectangle(other.info, 0, x, y, 512, 512)
                means = cv2.resize(slow.read(wide), (256, 256), interpolation=cv2.INTER_AREA)
                differences.append(np.abs(fast.read_reduced(wide, 256, 256).astype(int) - means))
            assert np.mean(differences) < 1.5
            assert np.quantile(differences, 0.99) <= 8


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["TCGA-CR-7395-01A-01-TS1.svs", "hamamatsu-test3-DAPI-2-387.ndpi"])
def test_real_slides_of_other_kinds_go_through_openslide(real_data: Path, name: str) -> None:
    assert opened_as(real_data / "slides" / name) is OpenSlideSlide
