"""What on a slide is not empty glass: sections and biopsies, and single cells on a nearly empty spot.

A threshold that the picture itself chooses (Otsu) fails where a few cells lie on clear glass. Here light is
compared with the slide's own empty glass: a pixel is foreground when it absorbs, or is coloured, by more
than glass ever is. That is decided on a level finer than the mask, and a mask pixel is foreground when
any of its pixels is, so that a lymphocyte of 7 µm survives a mask of 4 µm per pixel.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.config import TilingConfig
from inkdot.geometry import plan_rectangle
from inkdot.records import MaskArray, RgbArray, Slide, SlideInfo
from inkdot.tiling.frame import MaskFrame, mask_frame
from inkdot.tiling.glass import OD_STEP, Glass, find_glass

OD_THRESHOLD: Final = 0.06
"""A pixel that absorbs this much (13 % of the light) in any channel is not glass."""

CHROMA_THRESHOLD: Final = 0.035
"""Nor is one whose channels differ by this much: pale eosin and light green absorb little but one-sidedly."""

_NOISE_FACTOR = 6.0  # a mask pixel takes the largest of up to some hundred pixels: 4 sigma would not do
# Nothing stained is grey through and through; a smaller grey patch might be debris on a cell.
_GREY_CHROMA = 0.03
_GREY_WIDTH_UM = 40.0
# Black in every channel, which no stain is in blue; so near to black the noise has colour.
_BLACK_OD = 0.9
_BLOCK_SIDE_PX = 2048
_MOST_PIXELS_PER_MASK_PIXEL = 64


class Ground(IntEnum):
    """What a mask pixel shows, and why it was dropped where it was."""

    GLASS = 0
    KEPT = 1
    SPECK = 2
    GREY = 3

    @property
    def words(self) -> str:
        """The reason in words, for messages and pictures."""
        return _WORDS[self]


_WORDS: Final = {
    Ground.GLASS: "empty glass",
    Ground.KEPT: "foreground",
    Ground.SPECK: "speck smaller than min_object_um",
    Ground.GREY: "solid grey or black (print, ink, frame, shadow)",
}


@dataclass(frozen=True, slots=True)
class Foreground:
    """What was found on a slide.

    Attributes:
        ground: :class:`Ground` per mask pixel, uint8, shape [height, width].
        frame: Where the mask lies on the slide.
        glass: The empty glass that everything was compared with.
        level: Pyramid level that was read.
    """

    ground: npt.NDArray[np.uint8]
    frame: MaskFrame
    glass: Glass
    level: int

    @property
    def mask(self) -> MaskArray:
        """Foreground that is kept, shape [height, width]."""
        return self.ground == Ground.KEPT

    def areas_um2(self) -> dict[Ground, float]:
        """Area of each kind on the glass, in µm²."""
        counts = np.bincount(self.ground.ravel(), minlength=len(Ground))
        return {ground: float(counts[ground]) * self.frame.mpp**2 for ground in Ground}


def find_foreground(slide: Slide, tiling: TilingConfig) -> Foreground:
    """Tell foreground from glass at ``tiling.mask_mpp``, in blocks, so that memory does not grow with level 0.

    Raises:
        NoForegroundError: Not a bright-field slide.
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    level = reading_level(slide.info, tiling.mask_mpp)
    # A slide coarser than the mask is taken as it is: a finer mask would only repeat its pixels.
    level_mpp = max(slide.info.mpp.x, slide.info.mpp.y) * slide.info.level_downsamples[level]
    frame = mask_frame(slide.info, max(tiling.mask_mpp, level_mpp))
    glass = find_glass(slide, level)
    stained = np.zeros((frame.height_px, frame.width_px), np.uint8)
    grey = np.zeros_like(stained)
    table = glass.od_table()
    for rows, columns, pixels, row_starts, column_starts in _blocks(slide, level, frame):
        found, neutral = _absorbing(pixels, table, glass.noise_od)
        if found.any():
            stained[rows, columns] = _covered(found, row_starts, column_starts)
            grey[rows, columns] = _covered(neutral, row_starts, column_starts)
    return Foreground(_sorted_out(stained, grey, frame, tiling.min_object_um), frame, glass, level)


def reading_level(info: SlideInfo, mask_mpp: float) -> int:
    """The coarsest level at least twice as fine as the mask, or as fine as it where that saves much reading.

    Half the mask's scale shows a 7 µm cell as some pixels. Where the next such level would have more than
    64 pixels per mask pixel (scanners that go from 0.25 straight to 4 µm/px), one as fine as the mask will do.
    """
    mpps = [max(info.mpp.x, info.mpp.y) * downsample for downsample in info.level_downsamples]

    def coarsest(limit: float) -> int:
        return max((level for level, mpp in enumerate(mpps) if mpp <= limit * 1.01), default=0)

    fine, plain = coarsest(mask_mpp / 2), coarsest(mask_mpp)
    return plain if (mask_mpp / mpps[fine]) ** 2 > _MOST_PIXELS_PER_MASK_PIXEL else fine


def _absorbing(
    rgb: RgbArray, od_table: npt.NDArray[np.uint8], noise_od: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Pixels that are not glass, and those of them that are grey, as 0 and 1."""
    first, second, third = cv2.split(cv2.LUT(rgb, od_table))
    most = cast("npt.NDArray[np.uint8]", cv2.max(cv2.max(first, second), third))
    least = cast("npt.NDArray[np.uint8]", cv2.min(cv2.min(first, second), third))
    chroma = most - least
    absorbs = most >= round(max(OD_THRESHOLD, _NOISE_FACTOR * noise_od) / OD_STEP)
    coloured = chroma >= math.ceil(max(CHROMA_THRESHOLD, _NOISE_FACTOR * noise_od) / OD_STEP)
    # Stains are coloured, even where they are dark; print, frames and shadows are grey.
    grey = absorbs & (chroma <= np.maximum(most >> 2, round(_GREY_CHROMA / OD_STEP)))
    grey |= least >= round(_BLACK_OD / OD_STEP)
    return (absorbs | coloured).astype(np.uint8), grey.astype(np.uint8)


_Block = tuple[slice, slice, RgbArray, npt.NDArray[np.intp], npt.NDArray[np.intp]]


def _blocks(slide: Slide, level: int, frame: MaskFrame) -> Iterator[_Block]:
    """Read the level block by block; each block holds whole mask pixels.

    Yields the block's rows and columns in the mask, its pixels, and where in them each row and column starts.
    """
    downsample = slide.info.level_downsamples[level]
    rows = _edges(frame.height_px, frame.step_y_l0_px / downsample)
    columns = _edges(frame.width_px, frame.step_x_l0_px / downsample)
    for row_slice in _block_slices(rows):
        for column_slice in _block_slices(columns):
            row_edges = rows[row_slice.start : row_slice.stop + 1]
            column_edges = columns[column_slice.start : column_slice.stop + 1]
            plan = plan_rectangle(
                slide.info,
                level,
                frame.x_l0_px + round(int(column_edges[0]) * downsample),
                frame.y_l0_px + round(int(row_edges[0]) * downsample),
                float(column_edges[-1] - column_edges[0]) * downsample,
                float(row_edges[-1] - row_edges[0]) * downsample,
            )
            pixels = slide.read(plan)
            yield (
                row_slice,
                column_slice,
                pixels,
                row_edges[:-1] - row_edges[0],
                column_edges[:-1] - column_edges[0],
            )


def _edges(count: int, step: float) -> npt.NDArray[np.intp]:
    """First level pixel of each mask pixel and the end of the last; level pixels belong by their centre."""
    return np.ceil(np.arange(count + 1) * step - 0.5).astype(np.intp)


def _block_slices(edges: npt.NDArray[np.intp]) -> Iterator[slice]:
    count = len(edges) - 1
    per_block = max(1, int(_BLOCK_SIDE_PX * count // max(1, int(edges[-1] - edges[0]))))
    for start in range(0, count, per_block):
        yield slice(start, min(count, start + per_block))


def _covered(
    pixels: npt.NDArray[np.uint8], row_starts: npt.NDArray[np.intp], column_starts: npt.NDArray[np.intp]
) -> npt.NDArray[np.uint8]:
    """Share of each mask pixel that is set, 0 to 255, rounded up: 0 means none of it."""
    by_column = np.add.reduceat(pixels, column_starts, axis=1, dtype=np.uint32)
    counts = np.add.reduceat(by_column, row_starts, axis=0)
    heights = np.diff(row_starts, append=pixels.shape[0])
    widths = np.diff(column_starts, append=pixels.shape[1])
    return np.ceil(255.0 * counts / (heights[:, None] * widths[None, :])).astype(np.uint8)


def _sorted_out(
    stained: npt.NDArray[np.uint8], grey: npt.NDArray[np.uint8], frame: MaskFrame, min_object_um: float
) -> npt.NDArray[np.uint8]:
    """Name what is kept and what is dropped, from the covered share (0 to 255) of each mask pixel."""
    ground = (stained > 0).astype(np.uint8) * np.uint8(Ground.KEPT)
    ground[_solid(stained, grey, frame)] = Ground.GREY
    kept = (ground == Ground.KEPT).astype(np.uint8)
    count, components = cast(
        "tuple[int, npt.NDArray[np.int32]]", cv2.connectedComponents(kept, connectivity=8)
    )
    areas_um2 = np.bincount(components.ravel(), weights=stained.ravel(), minlength=count) * (
        frame.mpp**2 / 255.0
    )
    # Width of a disc of the same area: a thin septum of fat tissue is narrow, but no dust.
    is_speck = 2.0 * np.sqrt(areas_um2 / np.pi) < min_object_um
    is_speck[0] = False
    ground[is_speck[components]] = Ground.SPECK
    return ground


def _solid(stained: npt.NDArray[np.uint8], grey: npt.NDArray[np.uint8], frame: MaskFrame) -> MaskArray:
    """Grey areas wide enough to be no debris, with the soft edge that belongs to them."""
    # Odd: an even disc has no middle and would shift what it opens.
    side = round(_GREY_WIDTH_UM / frame.mpp) | 1
    full = (grey >= 230).astype(np.uint8)
    # Outside counts as grey: a dark frame around the picture is solid, however narrow.
    padded = cv2.copyMakeBorder(full, side, side, side, side, cv2.BORDER_CONSTANT, value=(1.0,))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc)[side:-side, side:-side]
    solid = (opened > 0) & (full > 0)
    if not solid.any():
        return solid
    edge = cv2.dilate(solid.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    # A pixel at the edge that is more colour than grey is a cell that lies there.
    return solid | ((edge > 0) & (grey > 0) & (grey >= stained // 2))
