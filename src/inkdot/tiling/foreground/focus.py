"""Sharpness of the foreground: edge width in µm, independent of stain, density and scale of the scan.

Most focus measures (variance of the Laplacian, of Brenner, of a wavelet) grow with contrast and with the number of
edges, so that pale or empty tissue appears blurred. Here an image is compared with itself, blurred once more: an
edge of width sigma, blurred by s, keeps ``sigma / sqrt(sigma² + s²)`` of its squared gradient, whatever its height and
however many there are. The ratio of the two sums over a window therefore tells sigma, in µm.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.geometry import level_for, plan_rectangle
from inkdot.records import MaskArray, ReadPlan, ReducingSlide, RgbArray, Slide
from inkdot.tiling.foreground.glass import OD_STEP, Glass
from inkdot.tiling.foreground.mask_frame import MaskFrame
from inkdot.tiling.tile_pixels import resized

FOCUS_MPP: Final = 0.5
"""Micrometres per pixel at which sharpness is measured, where the slide has them."""

WINDOW_UM: Final = 64.0
"""Side of the windows in which it is measured: one in each square, where the square holds most foreground."""

_LARGEST_SQUARE_UM = 256.0
_FIRST_UM = 0.4  # a little blur first: noise has the finest edges of all
_AGAIN_UM = 1.0  # s above
_FINER_FRACTION = 0.75
_COARSEST_MPP = 1.06
_STEEP_OD = 0.02  # per µm: flatter slopes are cytoplasm or noise
_LEAST_STRENGTH = 0.12  # square of optical density: less is too little to measure

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sharpness:
    """Squared gradients of a window, summed, as it is and blurred once more; sums of windows may be added.

    Attributes:
        strength: Sum of the squared gradient of optical density, times area: density squared.
        again: The same after the second blur.
    """

    strength: float
    again: float


@dataclass(frozen=True, slots=True)
class FocusMap:
    """Sharpness of a slide's foreground, by squares from the corner of the mask.

    Attributes:
        strength: As in :class:`Sharpness`, per square; 0 where nothing was measured; [rows, columns].
        again: The same after the second blur.
        square_um: Side of a square.
    """

    strength: npt.NDArray[np.float64]
    again: npt.NDArray[np.float64]
    square_um: float

    def edges_um(self) -> npt.NDArray[np.float64]:
        """Edge width per square (sigma, µm); NaN where it cannot be measured, as in empty or structureless squares."""
        return edge_um(self.strength, self.again)

    def blurred(self, largest_edge_um: float, frame: MaskFrame) -> MaskArray:
        """Mask pixels in squares with wider edges, shape [height, width]; unmeasured squares are not blurred."""
        side = self.square_um / frame.mpp
        wide = self.edges_um() > largest_edge_um
        rows = np.minimum((np.arange(frame.height_px) / side).astype(np.intp), wide.shape[0] - 1)
        columns = np.minimum((np.arange(frame.width_px) / side).astype(np.intp), wide.shape[1] - 1)
        return wide[np.ix_(rows, columns)]

    def edges_of(
        self,
        frame: MaskFrame,
        x_l0_px: npt.NDArray[np.integer],
        y_l0_px: npt.NDArray[np.integer],
        width_l0_px: float,
        height_l0_px: float,
    ) -> npt.NDArray[np.float64]:
        """Edge width (sigma, µm) of rectangles: of the sharpest square under the middles of their quarters.

        Args:
            frame: Where the mask lies on the slide.
            x_l0_px: Left edges in level-0 pixels, shape [n].
            y_l0_px: Top edges, shape [n].
            width_l0_px: Width of every rectangle in level-0 pixels.
            height_l0_px: Height of every rectangle in level-0 pixels.

        Returns:
            Shape [n]; NaN where it cannot be measured.
        """
        edges = self.edges_um()
        side_x, side_y = (
            step * self.square_um / frame.mpp for step in (frame.step_x_l0_px, frame.step_y_l0_px)
        )
        best = np.full(len(x_l0_px), np.nan)
        for across in (0.25, 0.75):
            for down in (0.25, 0.75):
                column = ((x_l0_px + across * width_l0_px - frame.x_l0_px) / side_x).astype(np.intp)
                row = ((y_l0_px + down * height_l0_px - frame.y_l0_px) / side_y).astype(np.intp)
                here = edges[row.clip(0, edges.shape[0] - 1), column.clip(0, edges.shape[1] - 1)]
                best = np.fmin(best, here)
        return best


def measure_focus(
    slide: Slide, kept: MaskArray, frame: MaskFrame, glass: Glass, square_um: float = WINDOW_UM
) -> FocusMap | None:
    """Sharpness of the foreground: one window of 64 µm in each square that holds any.

    None for a slide coarser than 1 µm per pixel, whose pixels are wider than an edge in focus.

    Args:
        slide: An open slide.
        kept: Foreground, shape [height, width].
        frame: Where it lies on the slide.
        glass: The slide's empty glass.
        square_um: Side of the squares, such as that of a tile; brought to a multiple of 64 µm, at most 256 µm.

    Raises:
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    parts = max(1, round(min(square_um, _LARGEST_SQUARE_UM) / WINDOW_UM))
    square_um = parts * WINDOW_UM
    rows, columns = (
        max(1, math.ceil(count * frame.mpp / square_um)) for count in (frame.height_px, frame.width_px)
    )
    strength, again = np.zeros((rows, columns)), np.zeros((rows, columns))
    level = level_for(slide.info, FOCUS_MPP)
    level_mpp = max(slide.info.mpp.x, slide.info.mpp.y) * slide.info.level_downsamples[level]
    if level_mpp > _COARSEST_MPP:
        return None
    reducing = slide if isinstance(slide, ReducingSlide) else None
    side = round(WINDOW_UM / FOCUS_MPP)
    table = glass.od_table()
    for row, column, plan in _windows(slide, kept, frame, level, (rows, columns), parts):
        if level_mpp < _FINER_FRACTION * FOCUS_MPP:
            rgb = slide.read(plan) if reducing is None else reducing.read_reduced(plan, side, side)
            found = sharpness(resized(rgb, side, side), table, WINDOW_UM / side)
        else:
            found = sharpness(slide.read(plan), table, level_mpp)
        strength[row, column], again[row, column] = found.strength, found.again
    return FocusMap(strength, again, square_um)


def sharpness(rgb: RgbArray, od_table: npt.NDArray[np.uint8], mpp: float) -> Sharpness:
    """Squared gradients of an image, once and blurred again, where it has edges.

    Args:
        rgb: The image, uint8 [height, width, 3].
        od_table: From :meth:`inkdot.tiling.foreground.glass.Glass.od_table`.
        mpp: Its µm per pixel.
    """
    red, green, blue = cv2.split(cv2.LUT(rgb, od_table))
    # Not ndarray.mean over the channels, which takes as long as all the rest.
    total = (red.astype(np.uint16) + green + blue).astype(np.float32)
    od = total / np.float32(3.0) * np.float32(OD_STEP)
    first = cast(Plane, cv2.GaussianBlur(od, (0, 0), _FIRST_UM / mpp))
    second = cast(Plane, cv2.GaussianBlur(first, (0, 0), _AGAIN_UM / mpp))
    steep, steep_again = _squared_slope(first, mpp), _squared_slope(second, mpp)
    wide = cast(Plane, cv2.dilate((steep >= _STEEP_OD**2).astype(np.float32), np.ones((3, 3), np.uint8)))
    reach = 2 * round(2.5 * _AGAIN_UM / mpp) + 1
    near = cv2.dilate(wide, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))) > 0
    area = mpp * mpp
    return Sharpness(float(steep[near].sum()) * area, float(steep_again[near].sum()) * area)


def _squared_slope(od: Plane, mpp: float) -> Plane:
    """Squared gradient by central differences, on the border by one-sided ones: as np.gradient, in a third of its time."""
    down, across = np.empty_like(od), np.empty_like(od)
    for slope, plane in ((down, od), (across.T, od.T)):
        np.subtract(plane[2:], plane[:-2], out=slope[1:-1])
        slope[1:-1] /= np.float32(2.0 * mpp)
        slope[0] = (plane[1] - plane[0]) / np.float32(mpp)
        slope[-1] = (plane[-1] - plane[-2]) / np.float32(mpp)
    down *= down
    across *= across
    down += across
    return down


def edge_um(strength: npt.NDArray[np.float64], again: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Edge width (sigma, µm) from the two sums; NaN where there are too few edges."""
    enough = strength >= _LEAST_STRENGTH
    ratio = np.where(enough, strength / np.maximum(again, 1e-9), np.inf)
    # strength / again = sqrt((sigma² + s²) / sigma²), with sigma² the edge's own and the first blur's.
    square = _AGAIN_UM**2 / np.maximum(ratio**2 - 1.0, 1e-6)
    return np.where(enough, np.sqrt(np.maximum(square - _FIRST_UM**2, 0.0)), np.nan)


def _windows(
    slide: Slide, kept: MaskArray, frame: MaskFrame, level: int, shape: tuple[int, int], parts: int
) -> Iterator[tuple[int, int, ReadPlan]]:
    """For each square with foreground, what to read: the window in it that holds most."""
    info = slide.info
    share = _share_by_window(kept, frame, shape, parts)
    by_square = share.reshape(shape[0], parts, shape[1], parts).transpose(0, 2, 1, 3).reshape(*shape, -1)
    fullest = by_square.argmax(axis=2)
    for row, column in zip(*np.nonzero(by_square.max(axis=2) > 0.0), strict=True):
        down, across = divmod(int(fullest[row, column]), parts)
        x_um = (int(column) * parts + across) * WINDOW_UM
        y_um = (int(row) * parts + down) * WINDOW_UM
        plan = plan_rectangle(
            info,
            level,
            frame.x_l0_px + round(x_um / info.mpp.x),
            frame.y_l0_px + round(y_um / info.mpp.y),
            WINDOW_UM / info.mpp.x,
            WINDOW_UM / info.mpp.y,
        )
        yield int(row), int(column), plan


def _share_by_window(
    kept: MaskArray, frame: MaskFrame, shape: tuple[int, int], parts: int
) -> npt.NDArray[np.float64]:
    """Number of foreground mask pixels in each window, shape [rows, columns] of windows."""
    rows, columns = np.nonzero(kept)
    row = ((rows + 0.5) * frame.mpp / WINDOW_UM).astype(np.intp)
    column = ((columns + 0.5) * frame.mpp / WINDOW_UM).astype(np.intp)
    counts = np.zeros((shape[0] * parts, shape[1] * parts))
    np.add.at(counts, (row.clip(0, counts.shape[0] - 1), column.clip(0, counts.shape[1] - 1)), 1.0)
    return counts
