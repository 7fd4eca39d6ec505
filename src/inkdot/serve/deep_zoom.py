"""Deep Zoom tiles of a slide, read from the original file on demand.

The frame is all of level 0, regardless of bounds: a pixel of the finest level is a level-0 pixel, so regions need no
transformation for the viewer. Levels are counted as in Deep Zoom: the last is level 0 of the slide, each before it half
as large, down to a single pixel.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from inkdot.geometry import plan_rectangle
from inkdot.records import ReadPlan, ReducingSlide, RgbArray, Slide, SlideInfo
from inkdot.tiling.tile_pixels import resized

TILE_PX = 512
_MAX_PIXELS_PER_READ = 16 * 2**20
"""A file without coarse levels is read in bands of at most this many pixels, to bound memory."""

_FINE_ENOUGH = 1.01  # a level 1 % coarser than requested is accepted


@dataclass(frozen=True, slots=True)
class ZoomTile:
    """One tile of one level.

    Attributes:
        level: Deep Zoom level: 0 is a single pixel, :func:`finest_level` is level 0 of the slide.
        column: Counted from the left.
        row: Counted from the top.
    """

    level: int
    column: int
    row: int


def finest_level(size_l0_px: tuple[int, int]) -> int:
    """The number of the level whose pixels are level-0 pixels."""
    return math.ceil(math.log2(max(size_l0_px)))


def level_size_px(size_l0_px: tuple[int, int], level: int) -> tuple[int, int]:
    """Width and height of one level, in its own pixels."""
    step = 2 ** (finest_level(size_l0_px) - level)
    return math.ceil(size_l0_px[0] / step), math.ceil(size_l0_px[1] / step)


def tile_exists(size_l0_px: tuple[int, int], tile: ZoomTile) -> bool:
    """Whether a tile lies on the slide."""
    if not 0 <= tile.level <= finest_level(size_l0_px) or min(tile.column, tile.row) < 0:
        return False
    width, height = level_size_px(size_l0_px, tile.level)
    return tile.column * TILE_PX < width and tile.row * TILE_PX < height


def read_zoom_tile(slide: Slide, tile: ZoomTile) -> RgbArray:
    """Pixels of one tile, uint8 RGB, at most ``TILE_PX`` a side, less at the right and lower edge.

    Args:
        slide: An open slide.
        tile: A tile for which :func:`tile_exists`.

    Raises:
        UnreadableSlideError: The slide's pixels cannot be decoded there.
    """
    info = slide.info
    step = 2 ** (finest_level(info.size_l0_px) - tile.level)
    width, height = level_size_px(info.size_l0_px, tile.level)
    left, top = tile.column * TILE_PX, tile.row * TILE_PX
    columns, rows = min(TILE_PX, width - left), min(TILE_PX, height - top)
    source = _source_level(info, step)
    # Rows of the tile whose source pixels may be held at once.
    per_row = columns * (step / info.level_downsamples[source]) ** 2
    band = max(1, min(rows, int(_MAX_PIXELS_PER_READ / per_row)))
    out = np.empty((rows, columns, 3), np.uint8)
    for first in range(0, rows, band):
        count = min(band, rows - first)
        plan = plan_rectangle(info, source, left * step, (top + first) * step, columns * step, count * step)
        out[first : first + count] = _fitted(_pixels(slide, plan, columns, count), columns, count)
    return out


def _source_level(info: SlideInfo, step: int) -> int:
    """The coarsest level of the file that is fine enough."""
    fine = [
        level for level, downsample in enumerate(info.level_downsamples) if downsample <= step * _FINE_ENOUGH
    ]
    return fine[-1] if fine else 0


def _pixels(slide: Slide, plan: ReadPlan, columns: int, rows: int) -> RgbArray:
    if isinstance(slide, ReducingSlide):
        return slide.read_reduced(plan, columns, rows)
    return slide.read(plan)


def _fitted(rgb: RgbArray, columns: int, rows: int) -> RgbArray:
    """The requested size; growing a little, by repeating the edge, where a level ends a pixel early."""
    height, width = rgb.shape[:2]
    if width < columns or height < rows:
        rgb = np.asarray(
            cv2.copyMakeBorder(
                rgb, 0, max(0, rows - height), 0, max(0, columns - width), cv2.BORDER_REPLICATE
            ),
            dtype=np.uint8,
        )
    return resized(rgb, columns, rows)
