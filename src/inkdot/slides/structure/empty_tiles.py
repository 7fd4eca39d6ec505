"""Finds where the levels of a slide have no pixels in the file: empty native tiles, and parts that were not scanned.

Readers fill these areas with white, which looks like empty glass (docs/explanation/decisions/0193).
"""

# pyright: reportUnknownMemberType=false
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import openslide
import tifffile
from openslide.lowlevel import OpenSlideError

from inkdot.geometry import scanned_bounds
from inkdot.records import EmptyArea, MaskArray, SlideInfo
from inkdot.slides.structure.native_structure import ODD_STRUCTURE, quiet_tifffile

_MOST_PIXELS: Final = 2**24


def with_empty_areas(info: SlideInfo, path: Path) -> SlideInfo:
    """The metadata of a slide with the areas without pixels, and a warning that names their size.

    TIFFs list the bytes of every tile of every level. For other formats the coarsest level shows what was not scanned.

    Args:
        info: Metadata from OpenSlide.
        path: The file.
    """
    found = _of_tiff(path, info.level_sizes_px)
    if found is None:
        found = _transparent(path, info)
    empty = tuple(area for area in found if area.cells.any())
    return replace(info, empty=empty, warnings=(*info.warnings, *_warnings(empty)))


def _of_tiff(path: Path, sizes_px: Sequence[tuple[int, int]]) -> tuple[EmptyArea, ...] | None:
    """Empty tiles of every level; None where the file is no TIFF whose directories are the levels."""
    try:
        with quiet_tifffile(), tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage) and page.is_tiled]
            areas: list[EmptyArea] = []
            for level, size in enumerate(sizes_px):
                fitting = [page for page in pages if (page.imagewidth, page.imagelength) == tuple(size)]
                if not fitting:
                    return None
                cells = _empty_cells(fitting[0])
                if cells is None:
                    return None
                shrink = sizes_px[0][0] / size[0], sizes_px[0][1] / size[1]
                cell = fitting[0].tilewidth * shrink[0], fitting[0].tilelength * shrink[1]
                areas.append(EmptyArea(level, cells, cell))
            return tuple(areas)
    except ODD_STRUCTURE:
        return None


def _empty_cells(page: tifffile.TiffPage) -> MaskArray | None:
    columns, rows = -(-page.imagewidth // page.tilewidth), -(-page.imagelength // page.tilelength)
    offsets, lengths = np.asarray(page.dataoffsets, np.int64), np.asarray(page.databytecounts, np.int64)
    if len(offsets) != len(lengths) or not len(lengths) or len(lengths) % (columns * rows):
        return None
    # With one plane per colour, a tile is empty where any of its planes is.
    return ((lengths == 0) | (offsets == 0)).reshape(-1, rows, columns).any(axis=0)


def _transparent(path: Path, info: SlideInfo) -> tuple[EmptyArea, ...]:
    """Transparent pixels of the coarsest level, within the scanned bounds."""
    level = len(info.level_sizes_px) - 1
    width, height = info.level_sizes_px[level]
    if width * height > _MOST_PIXELS:
        return ()
    try:
        # A separate handle: after one damaged tile OpenSlide refuses all others.
        with openslide.OpenSlide(path) as handle:
            alpha = np.asarray(handle.read_region((0, 0), level, (width, height)))[..., 3]
    except OpenSlideError:
        return ()  # reading there raises the error
    cell = info.size_l0_px[0] / width, info.size_l0_px[1] / height
    within = np.zeros((height, width), np.bool_)
    bounds = scanned_bounds(info)
    right, bottom = bounds.x_l0_px + bounds.width_l0_px, bounds.y_l0_px + bounds.height_l0_px
    # A cell that the bounds cut is partly empty by rights.
    rows = slice(math.ceil(bounds.y_l0_px / cell[1]), int(bottom / cell[1]))
    columns = slice(math.ceil(bounds.x_l0_px / cell[0]), int(right / cell[0]))
    within[rows, columns] = True
    return (EmptyArea(level, (alpha == 0) & within, cell),)


def _warnings(empty: Sequence[EmptyArea]) -> tuple[str, ...]:
    """One warning, for the level that lacks most."""
    if not empty:
        return ()
    most = max(empty, key=lambda area: area.cells.mean())
    return (
        f"{max(most.cells.mean(), 0.001):.1%} of the slide has no pixels in the file (level {most.level}): it is shown "
        "white and not assessed",
    )
