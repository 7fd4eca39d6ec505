"""Native reader of SVS and TIFF slides of JPEG tiles: the same pixels as OpenSlide, several times as fast.

OpenSlide spends most of its time on compositing, not on decoding (docs/explanation/decisions/0010). Level-0 pixels are equal to
OpenSlide's; between the pixels of a coarser level both interpolate, equal to within 3 grey levels (0.3 on average).
"""

import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.errors import UnreadableSlideError
from inkdot.records import ReadPlan, RgbArray, SlideInfo
from inkdot.slides.native_band import TileBand
from inkdot.slides.openslide_backend import unreadable
from inkdot.slides.pixels import WHITE, fitted_size, shrunk
from inkdot.slides.structure.native_jpeg import FACTORS, decode
from inkdot.slides.structure.native_structure import NativeLevel

ENOUGH_FRACTION = 0.98
"""A rectangle reduced to this fraction of the requested size still counts as fine enough, as in `geometry`."""

_MOST_PIXELS_OF_A_TILE = 2**22
_WHOLE = 1e-6  # a position this close (in level pixels) to an integer counts as an integer


@dataclass(frozen=True, slots=True)
class _Plane:
    """One level, downscaled by ``factor`` in the decoder."""

    level: int
    factor: int = 1


class NativeSlide:
    """A tiled JPEG TIFF behind the protocol :class:`inkdot.records.ReducingSlide`.

    Args:
        path: The file.
        info: Metadata of the slide from OpenSlide.
        levels: Native levels, in the order of ``info``.
        dct_scaling: Let :meth:`read_reduced` downscale in the decoder.

    Raises:
        UnreadableSlideError: The file cannot be opened.
    """

    def __init__(
        self, path: Path, info: SlideInfo, levels: tuple[NativeLevel, ...], *, dct_scaling: bool = True
    ) -> None:
        self._path = path
        self._info = info
        self._levels = levels
        self._dct_scaling = dct_scaling
        self._band = TileBand()
        self._lock = threading.Lock()
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise unreadable(path, error) from None

    @property
    def info(self) -> SlideInfo:
        """Metadata of the slide."""
        return self._info

    def read(self, plan: ReadPlan) -> RgbArray:
        """Pixels of a rectangle, uint8 RGB [height, width, 3]; white where the slide has none.

        Where the corner falls between pixels of the level, they are interpolated linearly, as OpenSlide does.

        Raises:
            UnreadableSlideError: A native tile cannot be decoded; others still can.
        """
        downsample = self._info.level_downsamples[plan.level]
        x, x_part = _whole_and_part(plan.x_l0_px / downsample)
        y, y_part = _whole_and_part(plan.y_l0_px / downsample)
        width, height = plan.width_level_px, plan.height_level_px
        if not (x_part or y_part):
            return self._mosaic(_Plane(plan.level), x, y, width, height)
        pixels = self._mosaic(_Plane(plan.level), x, y, width + 1, height + 1)
        weights = np.outer((1 - y_part, y_part), (1 - x_part, x_part)).astype(np.float32)
        return np.ascontiguousarray(_weighted(pixels, weights)[:height, :width])

    def read_reduced(self, plan: ReadPlan, min_width_px: int, min_height_px: int) -> RgbArray:
        """Pixels of a rectangle, downscaled by 2, 4 or 8 in the decoder where that leaves enough pixels.

        Args:
            plan: The rectangle. Where its corner falls between downscaled pixels, these are interpolated (cubic).
            min_width_px: Minimum number of columns; up to 2 % fewer may be returned.
            min_height_px: Minimum number of rows; up to 2 % fewer may be returned.

        Returns:
            uint8 RGB [height, width, 3]; the same as :meth:`read` where no factor fits.

        Raises:
            UnreadableSlideError: A native tile cannot be decoded; others still can.
        """
        plane = self._reduced_plane(plan, min_width_px, min_height_px)
        if plane.factor == 1:
            return self.read(plan)
        step = self._info.level_downsamples[plan.level] * plane.factor
        x, x_part, width = _fitted(plan.x_l0_px / step, plan.width_level_px / plane.factor)
        y, y_part, height = _fitted(plan.y_l0_px / step, plan.height_level_px / plane.factor)
        if not (x_part or y_part):
            return self._mosaic(plane, x, y, width, height)
        between = self._mosaic(plane, x - 1, y - 1, width + 3, height + 3)
        # One axis after the other takes half as long as OpenCV's own separable filter.
        if x_part:
            between = _weighted(between, _cubic_weights(x_part)[None, :])
        if y_part:
            between = _weighted(between, _cubic_weights(y_part)[:, None])
        top, left = 0 if y_part else 1, 0 if x_part else 1
        return np.ascontiguousarray(between[top : top + height, left : left + width])

    def thumbnail(self, max_side_px: int) -> RgbArray:
        """The whole slide, uint8 RGB, its longer side at most ``max_side_px``."""
        size = self._info.size_l0_px
        shrink = max(size) / max(fitted_size(size, max_side_px))
        level = max(
            index for index, d in enumerate(self._info.level_downsamples) if d <= shrink or index == 0
        )

        def read(x: int, y: int, width: int, height: int) -> RgbArray:
            return self._mosaic(_Plane(level), x, y, width, height)

        return shrunk(self._levels[level].size_px, read, max_side_px)

    def close(self) -> None:
        """Release the file; reading afterwards is an error."""
        self._file.close()
        self._band.clear()

    def _reduced_plane(self, plan: ReadPlan, min_width_px: int, min_height_px: int) -> _Plane:
        if not self._dct_scaling:
            return _Plane(plan.level)
        room = min(plan.width_level_px / min_width_px, plan.height_level_px / min_height_px)
        factor = next((factor for factor in FACTORS if room / factor >= ENOUGH_FRACTION), 1)
        return _Plane(plan.level, factor)

    def _mosaic(self, plane: _Plane, x: int, y: int, width: int, height: int) -> RgbArray:
        """A rectangle of a plane, in whole pixels of it; white where it has none."""
        native = self._levels[plane.level]
        tile_width, tile_height = (side // plane.factor for side in native.tile_size_px)
        # A last pixel that the level fills only partly is left out, as scanners do when they make levels.
        x0, x1 = max(x, 0), min(x + width, native.size_px[0] // plane.factor)
        y0, y1 = max(y, 0), min(y + height, native.size_px[1] // plane.factor)
        is_whole = (x0, y0, x1, y1) == (x, y, x + width, y + height)
        out = (np.empty if is_whole else _white)((height, width, 3), np.uint8)
        if self._file.closed:
            raise ValueError("read of a closed slide")
        if x0 >= x1 or y0 >= y1:
            return out

        def decoded(column: int, row: int, into: RgbArray) -> None:
            self._decode(plane, column, row, into)

        # Tiles inside a rectangle this large are not shared with a neighbour; those at its edges may be.
        keep_all = width * height <= _MOST_PIXELS_OF_A_TILE
        with self._lock:
            first_row, last_row = y0 // tile_height, (y1 - 1) // tile_height
            last_column = (x1 - 1) // tile_width
            self._band.move_to(plane, (tile_height, tile_width, 3), first_row, last_row)
            for row in range(first_row, last_row + 1):
                top = row * tile_height
                upper, lower = max(top, y0), min(top + tile_height, y1)
                for column in range(x0 // tile_width, last_column + 1):
                    left = column * tile_width
                    start, end = max(left, x0), min(left + tile_width, x1)
                    keep = keep_all or row == last_row or column == last_column
                    tile = self._band.tile(column, row, decoded, keep=keep)
                    out[upper - y : lower - y, start - x : end - x] = tile[
                        upper - top : lower - top, start - left : end - left
                    ]
        return out

    def _decode(self, plane: _Plane, column: int, row: int, into: RgbArray) -> None:
        """Fill an array with a native tile, as large as the plane has it."""
        native = self._levels[plane.level]
        index = row * native.columns + column
        length = int(native.lengths[index])
        try:
            self._file.seek(int(native.offsets[index]))
            data = self._file.read(length)
            if len(data) != length:
                raise ValueError("the file ends before it")
            decode(native.head, data, into, plane.factor)
        except (OSError, ValueError) as error:
            raise self._damaged(error, plane.level, column, row) from None

    def _damaged(self, error: Exception, level: int, column: int, row: int) -> UnreadableSlideError:
        width, height = self._levels[level].tile_size_px
        downsample = self._info.level_downsamples[level]
        x_l0, y_l0 = round(column * width * downsample), round(row * height * downsample)
        found = f"found a damaged tile at column {column}, row {row} of level {level}, level-0 px ({x_l0}, {y_l0})"
        return unreadable(self._path, error, found)


def _white(shape: tuple[int, int, int], dtype: type[np.uint8]) -> RgbArray:
    return cast(RgbArray, np.full(shape, WHITE, dtype))


def _weighted(pixels: RgbArray, weights: npt.NDArray[np.float32]) -> RgbArray:
    """Each pixel becomes the weighted sum of itself and of those to its right and below."""
    return cast(RgbArray, cv2.filter2D(pixels, -1, weights, anchor=(0, 0), borderType=cv2.BORDER_REPLICATE))


def _fitted(start: float, length: float) -> tuple[int, float, int]:
    """A whole number of pixels on the middle of a stretch: first pixel, how far beyond it, and count."""
    count = max(1, math.floor(length + 0.5))
    return *_whole_and_part(start + (length - count) / 2), count


def _cubic_weights(part: float) -> npt.NDArray[np.float32]:
    """Weights of four neighbours for a point ``part`` (0 to 1) beyond the second (Keys 1981, a = -3/4).

    Linear interpolation would blur tiles that happen to lie between pixels, and not their neighbours.
    """
    near, far = np.array((part, 1 - part)), np.array((1 + part, 2 - part))
    inner = (1.25 * near - 2.25) * near**2 + 1
    outer = ((-0.75 * far + 3.75) * far - 6.0) * far + 3.0
    return np.array((outer[0], *inner, outer[1]), np.float32)


def _whole_and_part(value: float) -> tuple[int, float]:
    whole = math.floor(value + _WHOLE)
    part = value - whole
    return whole, 0.0 if part < _WHOLE else part
