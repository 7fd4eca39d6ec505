"""Finds the native tiles of TIFF files that can be read by them."""

# pyright: reportUnknownMemberType=false
import logging
import struct
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from inkdot.slides.structure.native_jpeg import stream_head

VENDORS = frozenset({"aperio", "generic-tiff"})
"""Formats, as OpenSlide names them, whose levels are plain tiled directories. Others join, shift or skip tiles."""

_JPEG, _RGB, _YCBCR = 7, 2, 6
_ORIENTATION, _FILL_ORDER = 274, 266
ODD_STRUCTURE = (
    tifffile.TiffFileError, struct.error, ValueError, TypeError, LookupError, OSError, OverflowError
)  # fmt: skip
"""Errors of tifffile on directories that do not follow the standard, and of NumPy on offsets of more than 63 bits."""


@dataclass(frozen=True, slots=True)
class NativeLevel:
    """One level of a tiled JPEG TIFF.

    Attributes:
        size_px: Width and height of the level.
        tile_size_px: Width and height of its tiles, multiples of 16.
        columns: Tiles in a row.
        rows: Rows of tiles.
        offsets: Byte offset of each tile, row by row, int64.
        lengths: Byte length of each tile, int64.
        head: Bytes that the decoder needs before each tile, see :func:`inkdot.slides.structure.native_jpeg.stream_head`.
    """

    size_px: tuple[int, int]
    tile_size_px: tuple[int, int]
    columns: int
    rows: int
    offsets: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    head: bytes


def find_native_levels(path: Path, sizes_px: Sequence[tuple[int, int]]) -> tuple[NativeLevel, ...] | None:
    """Find the levels of the given sizes; None where one of them is not 8-bit JPEG with three components in plain tiles.

    Args:
        path: A TIFF that OpenSlide opens.
        sizes_px: Width and height of every level from OpenSlide.
    """
    try:
        with quiet_tifffile(), tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage) and page.is_tiled]
            levels: list[NativeLevel] = []
            for size in sizes_px:
                fitting = [page for page in pages if (page.imagewidth, page.imagelength) == tuple(size)]
                # Several directories of one size, e.g. focal planes.
                if len(fitting) != 1 or not _is_plain_jpeg(fitting[0]):
                    return None
                level = _native_level(fitting[0])
                if level is None:
                    return None
                levels.append(level)
            return tuple(levels)
    except ODD_STRUCTURE:
        return None


@contextmanager
def quiet_tifffile() -> Generator[None, None, None]:
    """Silence log messages of tifffile about unusual tags: such files are left to OpenSlide."""
    logger = logging.getLogger("tifffile")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _is_plain_jpeg(page: tifffile.TiffPage) -> bool:
    return (
        page.compression == _JPEG
        and page.photometric in (_RGB, _YCBCR)
        and page.planarconfig == 1
        and page.bitspersample == 8
        and page.samplesperpixel == 3
        and page.imagedepth == page.tiledepth == 1
        and page.tilewidth % 16 == 0
        and page.tilelength % 16 == 0
        and all(page.tags.valueof(tag, default=1) == 1 for tag in (_ORIENTATION, _FILL_ORDER))
    )


def _native_level(page: tifffile.TiffPage) -> NativeLevel | None:
    columns, rows = -(-page.imagewidth // page.tilewidth), -(-page.imagelength // page.tilelength)
    offsets = np.asarray(page.dataoffsets, np.int64)
    lengths = np.asarray(page.databytecounts, np.int64)
    # Missing tiles are filled from other levels by some readers: left to OpenSlide.
    if len(offsets) != columns * rows or len(lengths) != columns * rows or not (lengths > 0).all():
        return None
    return NativeLevel(
        size_px=(page.imagewidth, page.imagelength),
        tile_size_px=(page.tilewidth, page.tilelength),
        columns=columns,
        rows=rows,
        offsets=offsets,
        lengths=lengths,
        head=stream_head(page.jpegtables or b"", is_rgb=page.photometric == _RGB),
    )
