"""Which TIFFs can be read by their native tiles, and where in the file the tiles lie."""

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

from inkdot.slides.native_jpeg import stream_head

VENDORS = frozenset({"aperio", "generic-tiff"})
"""Formats, by OpenSlide's names, whose levels are plain tiled directories. Others join, shift or skip tiles."""

_JPEG, _RGB, _YCBCR = 7, 2, 6
_ORIENTATION, _FILL_ORDER = 274, 266
_ODD_STRUCTURE = (tifffile.TiffFileError, struct.error, ValueError, TypeError, LookupError, OSError)
"""What tifffile raises where a directory is not as the standard has it."""


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
        head: What the decoder needs before each tile's body.
    """

    size_px: tuple[int, int]
    tile_size_px: tuple[int, int]
    columns: int
    rows: int
    offsets: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    head: bytes


def find_native_levels(path: Path, sizes_px: Sequence[tuple[int, int]]) -> tuple[NativeLevel, ...] | None:
    """The levels of these sizes, or None where one of them is not 8-bit three-colour JPEG in plain tiles.

    Args:
        path: A TIFF that OpenSlide opens.
        sizes_px: Width and height of every level as OpenSlide counts them.
    """
    try:
        with _without_remarks(), tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage) and page.is_tiled]
            levels: list[NativeLevel] = []
            for size in sizes_px:
                fitting = [page for page in pages if (page.imagewidth, page.imagelength) == tuple(size)]
                # Two directories of one size: focal planes, or something else to leave alone.
                if len(fitting) != 1 or not _is_plain_jpeg(fitting[0]):
                    return None
                level = _native_level(fitting[0])
                if level is None:
                    return None
                levels.append(level)
            return tuple(levels)
    except _ODD_STRUCTURE:
        return None


@contextmanager
def _without_remarks() -> Generator[None, None, None]:
    """Keep tifffile's remarks about odd tags off the terminal: such a file is simply left to OpenSlide."""
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
    # Tiles left out of the file are drawn from other levels by some readers: OpenSlide knows by which.
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
