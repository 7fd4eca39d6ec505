"""Writes pyramidal, JPEG-tiled TIFFs tile by tile, so that a gigapixel slide need not fit into memory.

A source yields level-0 tiles in row order. The coarser levels are filled at the same time by area means, and their encoded
tiles are kept in temporary files until level 0 is written. tifffile's writer was measured and not used, see
docs/explanation/decisions/0130.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Literal, Protocol

import cv2
import numpy as np
import simplejpeg  # pyright: ignore[reportMissingTypeStubs]

from inkdot.records import Mpp, RgbArray
from inkdot.slides.structure.tiff_structure import TiffPage, TiffStructure
from inkdot.storage.atomic import atomic_path

TILE_SIDE_PX = 256
Subsampling = Literal["420", "444"]
_Encode = Callable[[RgbArray], bytes]

_SOFTWARE = "inkdot"  # fixed: a version or a date here would change the bytes of every slide
_TIFF_SUBSAMPLING: dict[Subsampling, tuple[int, int]] = {"420": (2, 2), "444": (1, 1)}
_BIGTIFF_FROM_PX = 2**30  # above this, offsets may pass 4 GiB
_SPOOL_BYTES = 32 * 2**20
_TILES_REMEMBERED = 512
_GLASS = 255


class TileSource(Protocol):
    """Source of the pixels of a slide.

    Most of a cytology slide is empty glass. For such tiles a source may return an index into ``pool`` instead of pixels; the
    writer encodes each tile of the pool once.
    """

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of level 0 in pixels."""
        ...

    @property
    def pool(self) -> Sequence[RgbArray]:
        """Recurring tiles, uint8 RGB [256, 256, 3]."""
        ...

    def tile(self, column: int, row: int) -> RgbArray | int:
        """One level-0 tile, uint8 RGB [256, 256, 3] (also at the right and lower edge), or an index into the pool.

        Called once per tile, row by row from the top, each row from left to right.
        """
        ...


class _Level:
    """One coarser level: a strip of 256 rows that is encoded when complete, and the encoded tiles so far."""

    def __init__(self, size_px: tuple[int, int], downsample: int, encode: _Encode) -> None:
        self.downsample = downsample
        self.size_px = (size_px[0] // downsample, size_px[1] // downsample)
        self._encode = encode
        columns = -(-self.size_px[0] // TILE_SIDE_PX)
        # One tile wider than the level: the remainder that does not fill a pixel is cut off later.
        self._strip = np.full((TILE_SIDE_PX, (columns + 1) * TILE_SIDE_PX, 3), _GLASS, np.uint8)
        self._columns = columns
        self._rows_left = -(-self.size_px[1] // TILE_SIDE_PX)
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115
        self._lengths: list[int] = []

    @property
    def side_px(self) -> int:
        """Side in pixels of a level-0 tile at this level."""
        return TILE_SIDE_PX // self.downsample

    def put(self, piece: RgbArray, column: int, row: int) -> None:
        """Store a downscaled level-0 tile (column, row)."""
        side = self.side_px
        y = (row * side) % TILE_SIDE_PX
        if column * side < self._strip.shape[1]:
            self._strip[y : y + side, column * side : (column + 1) * side] = piece

    def end_of_row(self, row: int, last: bool) -> None:
        """Encode the strip when its 256 rows are complete, or after the last row of the slide."""
        if not last and ((row + 1) * self.side_px) % TILE_SIDE_PX:
            return
        if self._rows_left == 0:
            return
        self._rows_left -= 1
        for column in range(self._columns):
            tile = self._strip[:, column * TILE_SIDE_PX : (column + 1) * TILE_SIDE_PX]
            encoded = self._encode(np.ascontiguousarray(tile))
            self._lengths.append(len(encoded))
            self._spool.write(encoded)
        self._strip[:] = _GLASS

    def encoded_tiles(self) -> Iterator[bytes]:
        """Yield the tiles of the level in TIFF order, then delete the temporary file."""
        self._spool.seek(0)
        for length in self._lengths:
            yield self._spool.read(length)
        self._spool.close()

    def close(self) -> None:
        """Delete the temporary file."""
        self._spool.close()


def write_pyramid(
    path: Path,
    source: TileSource,
    *,
    mpp: Mpp | None,
    description: str,
    downsamples: Sequence[int] = (1, 4, 16),
    quality: int = 80,
    subsampling: Subsampling = "420",
    on_row: Callable[[int, int], None] | None = None,
) -> None:
    """Write a slide from a source of tiles, atomically.

    Args:
        path: The TIFF to write; an existing file is replaced when the new one is complete.
        source: The level-0 tiles.
        mpp: Micrometres per level-0 pixel, stored as resolution tags per centimetre; None leaves them out.
        description: Text of the ImageDescription tag, ASCII.
        downsamples: Level-0 pixels per pixel of each level: 1 first, ascending powers of two up to 256.
        quality: JPEG quality, 1 to 100.
        subsampling: Chroma subsampling of the JPEG tiles.
        on_row: Called after each row of level-0 tiles with the number of rows done and in total.

    Raises:
        ValueError: The downsamples are not as described, or the size is smaller than the coarsest one.
    """
    _check_downsamples(downsamples, source.size_px, powers_of_two=True)

    def encode(tile: RgbArray) -> bytes:
        return _encode(tile, quality, subsampling)

    levels = [_Level(source.size_px, downsample, encode) for downsample in downsamples[1:]]
    try:
        level0 = _stream_level0(source, levels, encode, on_row)
        streams = [(source.size_px, level0)] + [(level.size_px, level.encoded_tiles()) for level in levels]
        _write_tiff(path, streams, mpp, description, subsampling)
    finally:
        for level in levels:
            level.close()


def write_array_pyramid(
    path: Path,
    rgb: RgbArray,
    *,
    mpp: Mpp | None,
    description: str = "",
    downsamples: Sequence[int] = (1, 4),
    quality: int = 95,
    subsampling: Subsampling = "444",
) -> None:
    """Write an array as a pyramid; for tests and small images.

    Unlike :func:`write_pyramid`, it accepts any integer downsample. Pixel i of a level is the mean of level-0
    pixels i * downsample to (i + 1) * downsample - 1; a remainder at the right and lower edge is cut off.

    Args:
        path: The TIFF to write.
        rgb: Level 0, uint8 RGB [height, width, 3].
        mpp: Micrometres per level-0 pixel, or None for no resolution tags.
        description: Text of the ImageDescription tag, ASCII.
        downsamples: Level-0 pixels per pixel of each level, 1 first, ascending.
        quality: JPEG quality, 1 to 100.
        subsampling: Chroma subsampling of the JPEG tiles.

    Raises:
        ValueError: The downsamples are not as described, or the array is smaller than the coarsest one.
    """
    height, width = rgb.shape[:2]
    _check_downsamples(downsamples, (width, height), powers_of_two=False)
    streams: list[tuple[tuple[int, int], Iterator[bytes]]] = []
    for downsample in downsamples:
        level = _area_mean(rgb, downsample)
        tiles = (_encode(tile, quality, subsampling) for tile in _tiles_of(level))
        streams.append(((level.shape[1], level.shape[0]), tiles))
    _write_tiff(path, streams, mpp, description, subsampling)


def _stream_level0(
    source: TileSource,
    levels: Sequence[_Level],
    encode: _Encode,
    on_row: Callable[[int, int], None] | None,
) -> Iterator[bytes]:
    """Yield the encoded level-0 tiles and fill the coarser levels."""
    width, height = source.size_px
    columns, rows = -(-width // TILE_SIDE_PX), -(-height // TILE_SIDE_PX)
    pool = [(encode(tile), _pieces(tile, levels)) for tile in source.pool]
    for row in range(rows):
        for column in range(columns):
            tile = source.tile(column, row)
            encoded, pieces = pool[tile] if isinstance(tile, int) else (encode(tile), _pieces(tile, levels))
            for level, piece in zip(levels, pieces, strict=True):
                level.put(piece, column, row)
            yield encoded
        for level in levels:
            level.end_of_row(row, last=row == rows - 1)
        if on_row is not None:
            on_row(row + 1, rows)


def _pieces(tile: RgbArray, levels: Sequence[_Level]) -> list[RgbArray]:
    """Downscale a level-0 tile to each coarser level."""
    sides = [level.side_px for level in levels]
    return [np.asarray(cv2.resize(tile, (n, n), interpolation=cv2.INTER_AREA), np.uint8) for n in sides]


def _write_tiff(
    path: Path,
    levels: Sequence[tuple[tuple[int, int], Iterator[bytes]]],
    mpp: Mpp | None,
    description: str,
    subsampling: Subsampling,
) -> None:
    """Write each (size, encoded tiles) as one page; recurring tiles share their bytes in the file."""
    width, height = levels[0][0]
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        tiff = TiffStructure(
            file,
            big=width * height >= _BIGTIFF_FROM_PX,
            tile_side_px=TILE_SIDE_PX,
            subsampling=_TIFF_SUBSAMPLING[subsampling],
        )
        pages: list[TiffPage] = []
        stored: dict[bytes, int] = {}  # mostly empty glass, found early: a few hundred entries are enough
        for size, tiles in levels:
            shrink = width / size[0]
            per_cm = None if mpp is None else (1e4 / (mpp.x * shrink), 1e4 / (mpp.y * shrink))
            page = TiffPage(size, per_cm)
            for encoded in tiles:
                offset = stored.get(encoded)
                if offset is None:
                    offset = tiff.add_tile(encoded)
                    if len(stored) < _TILES_REMEMBERED:
                        stored[encoded] = offset
                page.offsets.append(offset)
                page.lengths.append(len(encoded))
            pages.append(page)
        tiff.finish(pages, description=description, software=_SOFTWARE)


def _encode(tile: RgbArray, quality: int, subsampling: Subsampling) -> bytes:
    return bytes(simplejpeg.encode_jpeg(tile, quality, colorspace="RGB", colorsubsampling=subsampling))


def _area_mean(rgb: RgbArray, downsample: int) -> RgbArray:
    if downsample == 1:
        return rgb
    height, width = rgb.shape[0] // downsample, rgb.shape[1] // downsample
    whole = rgb[: height * downsample, : width * downsample]
    blocks = whole.reshape(height, downsample, width, downsample, 3)
    return np.rint(blocks.mean(axis=(1, 3), dtype=np.float64)).astype(np.uint8)


def _tiles_of(level: RgbArray) -> Iterator[RgbArray]:
    """Cut a level into tiles of 256 px; the last ones are padded by repeating the edge."""
    height, width = level.shape[:2]
    for y in range(0, height, TILE_SIDE_PX):
        for x in range(0, width, TILE_SIDE_PX):
            tile = level[y : y + TILE_SIDE_PX, x : x + TILE_SIDE_PX]
            missing = (TILE_SIDE_PX - tile.shape[0], TILE_SIDE_PX - tile.shape[1])
            yield np.ascontiguousarray(np.pad(tile, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge"))


def _check_downsamples(downsamples: Sequence[int], size_px: tuple[int, int], *, powers_of_two: bool) -> None:
    ascending = all(a < b for a, b in itertools.pairwise(downsamples))
    if not downsamples or downsamples[0] != 1 or not ascending:
        raise ValueError(f"downsamples must start with 1 and ascend, found {tuple(downsamples)}")
    if powers_of_two and any(d > TILE_SIDE_PX or d & (d - 1) for d in downsamples):
        raise ValueError(f"streamed downsamples must be powers of two up to 256, found {tuple(downsamples)}")
    if min(size_px) < downsamples[-1]:
        raise ValueError(f"a slide of {size_px} px has no level of downsample {downsamples[-1]}")
