"""Stain map of a slide at the scale of the mask: stained and grey fraction of each mask pixel, and its mean colour.

Pixels are classified on a level finer than the mask, so that a lymphocyte of 7 µm is kept at mask pixels of 4 µm. The
level is read in blocks, so that memory does not grow with level 0.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.geometry import plan_rectangle
from inkdot.records import RgbArray, Slide, SlideInfo
from inkdot.tiling.foreground.glass import OD_STEP, Glass, find_glass
from inkdot.tiling.foreground.mask_frame import MaskFrame, mask_frame

OD_THRESHOLD: Final = 0.06
"""Minimum optical density in any channel of a pixel that is not glass (absorbs 13 % of the light)."""

CHROMA_THRESHOLD: Final = 0.035
"""Minimum difference of optical density between channels of a pixel that is not glass, for pale eosin and light green."""

Bytes = npt.NDArray[np.uint8]

_NOISE_FACTOR = 6.0  # sigmas: one noisy pixel among hundreds makes a mask pixel stained
_GREY_CHROMA = 0.03
# Near black, noise has colour; no stain is that dark in blue.
_BLACK_OD = 0.9
_BLOCK_SIDE_PX = 2048
_MOST_PIXELS_PER_MASK_PIXEL = 64


@dataclass(frozen=True, slots=True)
class Planes:
    """A slide at the scale of the mask.

    Attributes:
        stained: Fraction of each mask pixel that is not glass, times 255, rounded up; uint8 [height, width].
        grey: The same for grey and black pixels.
        tone: Mean colour, uint8 RGB [height, width, 3].
        frame: Position of the mask on the slide.
        glass: Empty glass, the reference of optical density.
        level: Pyramid level that was read.
    """

    stained: Bytes
    grey: Bytes
    tone: RgbArray
    frame: MaskFrame
    glass: Glass
    level: int


def read_planes(slide: Slide, mask_mpp: float) -> Planes:
    """Read a slide at ``mask_mpp`` µm per pixel, in blocks.

    Raises:
        NotBrightFieldError: Not a bright-field slide.
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    level = reading_level(slide.info, mask_mpp)
    # For a slide coarser than the mask, the mask has the scale of the slide.
    level_mpp = max(slide.info.mpp.x, slide.info.mpp.y) * slide.info.level_downsamples[level]
    frame = mask_frame(slide.info, max(mask_mpp, level_mpp))
    glass = find_glass(slide, level)
    stained = np.zeros((frame.height_px, frame.width_px), np.uint8)
    grey = np.zeros_like(stained)
    tone = np.empty((*stained.shape, 3), np.uint8)
    table = glass.od_table()
    for rows, columns, pixels, row_starts, column_starts in _blocks(slide, level, frame):
        found, neutral = absorbing(pixels, table, glass.noise_od)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        # Off by at most half a level pixel, which is negligible for a mean colour.
        tone[rows, columns] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        if found.any():
            stained[rows, columns] = _covered(found, row_starts, column_starts)
            grey[rows, columns] = _covered(neutral, row_starts, column_starts)
    return Planes(stained, grey, tone, frame, glass, level)


def reading_level(info: SlideInfo, mask_mpp: float) -> int:
    """Choose the coarsest level at least twice as fine as the mask.

    Where that has more than 64 pixels per mask pixel (levels of 0.25 and 4 µm/px), a level as fine as the mask is chosen
    to save reading.
    """
    mpps = [max(info.mpp.x, info.mpp.y) * downsample for downsample in info.level_downsamples]

    def coarsest(limit: float) -> int:
        return max((level for level, mpp in enumerate(mpps) if mpp <= limit * 1.01), default=0)

    fine, plain = coarsest(mask_mpp / 2), coarsest(mask_mpp)
    return plain if (mask_mpp / mpps[fine]) ** 2 > _MOST_PIXELS_PER_MASK_PIXEL else fine


def absorbing(rgb: RgbArray, od_table: Bytes, noise_od: float) -> tuple[Bytes, Bytes]:
    """Masks (0 or 1) of pixels that are not glass, and of grey ones."""
    first, second, third = cv2.split(cv2.LUT(rgb, od_table))
    most = cast("Bytes", cv2.max(cv2.max(first, second), third))
    least = cast("Bytes", cv2.min(cv2.min(first, second), third))
    chroma = most - least
    absorbs = most >= round(max(OD_THRESHOLD, _NOISE_FACTOR * noise_od) / OD_STEP)
    coloured = chroma >= math.ceil(max(CHROMA_THRESHOLD, _NOISE_FACTOR * noise_od) / OD_STEP)
    # Stains are coloured even where dark; print, frames and shadows are grey.
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
    """First level pixel of each mask pixel, and the end of the last; level pixels are assigned by their centre."""
    return np.ceil(np.arange(count + 1) * step - 0.5).astype(np.intp)


def _block_slices(edges: npt.NDArray[np.intp]) -> Iterator[slice]:
    count = len(edges) - 1
    per_block = max(1, int(_BLOCK_SIDE_PX * count // max(1, int(edges[-1] - edges[0]))))
    for start in range(0, count, per_block):
        yield slice(start, min(count, start + per_block))


def _covered(pixels: Bytes, row_starts: npt.NDArray[np.intp], column_starts: npt.NDArray[np.intp]) -> Bytes:
    """Fraction of set pixels in each mask pixel, times 255, rounded up."""
    rows = np.append(row_starts, pixels.shape[0])
    columns = np.append(column_starts, pixels.shape[1])
    # A summed-area table takes a quarter of the time of np.add.reduceat.
    sums = cast("npt.NDArray[np.int32]", cv2.integral(pixels, sdepth=cv2.CV_32S))[rows][:, columns]
    counts = sums[1:, 1:] - sums[:-1, 1:] - sums[1:, :-1] + sums[:-1, :-1]
    return np.ceil(255.0 * counts / (np.diff(rows)[:, None] * np.diff(columns)[None, :])).astype(np.uint8)
