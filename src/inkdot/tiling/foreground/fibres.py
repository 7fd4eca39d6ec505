"""Fibres, hairs and threads of a cell spot: long, narrow and even, where chains of cells are beaded."""

import math
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.morphometry.mask_shape import principal_variances
from inkdot.records import MaskArray
from inkdot.tiling.foreground.foreground_classes import ForegroundClass
from inkdot.tiling.foreground.glass import OD_STEP
from inkdot.tiling.foreground.pen_and_folds import opened_by_disc
from inkdot.tiling.foreground.stain_map import Bytes, Planes

FIBRE_LENGTH_UM: Final = 100.0
"""Minimum length of a fibre in µm, along its middle."""

_WIDEST_UM = 44.0
_LARGEST_MEAN_WIDTH_UM = 40.0

# Rows of up to 14 cells on dense cerebrospinal fluid reach 11.7 widths and vary by 0.25 or more from step to step.
_WIDTHS_LONG = 14.0
_WIDTHS_SHORT = 8.0
_UNEVEN_WIDTH = 0.6  # robust deviation of the width, of its median
_UNEVEN_DYE = 0.3  # robust difference of the dye across from one pixel to the next, of the median
_SMOOTH_DYE = 0.13
_SMOOTH_LENGTH_UM = 150.0
_THIN_UM = 14.0
_PALE_OD = 0.10
_PALE_LENGTH_UM = 120.0

# On a fibre, what is this much darker and not drawn out may be a cell.
_DARKER = 2.0
_DARK_OD = 0.28
_LARGEST_CELL_UM = 56.0  # across its box
_DRAWN_OUT = 2.5  # length, of its width: two nuclei side by side have 2.2
_STREAK = 1.8  # the same, where it is narrower than a nucleus
_STREAK_WIDTH_UM = 9.0
_SMALL_SPOT_UM2 = 96.0  # too few mask pixels to have a shape: may be a lymphocyte
_SMOOTHING = 5

Whole = npt.NDArray[np.intp]


def label_fibres(classes: Bytes, planes: Planes) -> None:
    """Label the fibres of the foreground, in place. Cells on them and beside them stay foreground.

    Args:
        classes: :class:`ForegroundClass` per mask pixel, shape [height, width].
        planes: The slide at the scale of the mask.
    """
    mpp = planes.frame.mpp
    kept = (classes == ForegroundClass.FOREGROUND).astype(np.uint8)
    narrow = kept & (opened_by_disc(kept, _WIDEST_UM / mpp) == 0)
    _, labels, stats, _ = cast(
        "tuple[int, npt.NDArray[np.int32], npt.NDArray[np.int32], object]",
        cv2.connectedComponentsWithStats(narrow, connectivity=8),
    )
    across_um = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) * mpp
    # A path may be longer than the box is across, but a fibre that is rolled up like that is left to the eye.
    long_enough = across_um >= 0.8 * FIBRE_LENGTH_UM
    long_enough &= stats[:, cv2.CC_STAT_AREA] * mpp**2 <= _LARGEST_MEAN_WIDTH_UM * across_um
    table = planes.glass.od_table()[0]
    for index in np.flatnonzero(long_enough[1:]) + 1:
        x, y, width, height = (int(value) for value in stats[index, :4])
        window = (slice(y, y + height), slice(x, x + width))
        part = labels[window] == index
        tone = planes.tone[window]
        od = np.minimum(table[tone[..., 0], 0], table[tone[..., 1], 1]) * np.float32(OD_STEP)
        path = _path_through(part)
        if _is_fibre(path, part, od, mpp):
            classes[window][_without_cells(path, part, od, mpp)] = ForegroundClass.FIBRE


@dataclass(frozen=True, slots=True)
class _Path:
    """The longest of the shortest paths through a part.

    Attributes:
        rows: Of its pixels, shape [n].
        columns: The same.
        steps: For every pixel of the part, how many steps it lies from one end; -1 elsewhere; [height, width].
    """

    rows: Whole
    columns: Whole
    steps: npt.NDArray[np.int32]

    def length_px(self) -> float:
        rows, columns = (_running_mean(values) for values in (self.rows, self.columns))
        return float(np.hypot(np.diff(rows), np.diff(columns)).sum()) + _SMOOTHING


def _path_through(part: MaskArray) -> _Path:
    """The path between the two pixels that are farthest apart within a connected part, along its middle."""
    padded = np.pad(part, 1)
    width = padded.shape[1]
    beside = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    inside = padded.ravel()
    first_end = int(_steps_from(int(np.flatnonzero(inside)[0]), inside, beside).argmax())
    steps = _steps_from(first_end, inside, beside)
    depth = cast("npt.NDArray[np.float32]", cv2.distanceTransform(padded.astype(np.uint8), cv2.DIST_L2, 5))
    depth = depth.ravel()
    at = int(steps.argmax())
    path = [at]
    while steps[at] > 0:
        nearer = at + beside
        nearer = nearer[steps[nearer] == steps[at] - 1]
        at = int(nearer[depth[nearer].argmax()])
        path.append(at)
    rows, columns = np.divmod(np.array(path, np.intp), width)
    return _Path(rows - 1, columns - 1, steps.reshape(padded.shape)[1:-1, 1:-1])


def _steps_from(start: int, inside: npt.NDArray[np.bool_], beside: Whole) -> npt.NDArray[np.int32]:
    """Steps to the eight neighbours that lead from a pixel to each other one inside; -1 where none do."""
    steps = np.full(inside.shape, -1, np.int32)
    steps[start] = 0
    front, count = np.array([start]), 0
    while front.size:
        count += 1
        reached = (front[:, None] + beside).ravel()
        reached = np.unique(reached[inside[reached] & (steps[reached] < 0)])
        steps[reached] = count
        front = reached
    return steps


def _is_fibre(path: _Path, part: MaskArray, od: npt.NDArray[np.float32], mpp: float) -> bool:
    """Whether a part is long, narrow, and even in width and darkness along its length."""
    length_um = path.length_px() * mpp
    width_um = float(np.count_nonzero(part)) * mpp**2 / length_um
    if length_um < FIBRE_LENGTH_UM or length_um < _WIDTHS_SHORT * width_um:
        return False
    steps = path.steps[part]
    widths, dye = np.bincount(steps), np.bincount(steps, od[part])
    usual_width, usual_dye = float(np.median(widths)), max(float(np.median(dye)), OD_STEP)
    if 1.4826 * float(np.median(np.abs(widths - usual_width))) > _UNEVEN_WIDTH * usual_width:
        return False
    # The dye across, not its mean: where a line crosses the grid obliquely, the mean varies and the sum does not.
    uneven_dye = 1.4826 * float(np.median(np.abs(np.diff(dye)))) / usual_dye
    if length_um >= _WIDTHS_LONG * width_um and uneven_dye <= _UNEVEN_DYE:
        return True
    # What follows is shorter for its width. Rows of nuclei may be as even, but are darker.
    if float(np.median(dye / widths)) > _PALE_OD:
        return False
    smooth = length_um >= _SMOOTH_LENGTH_UM and uneven_dye <= _SMOOTH_DYE
    return smooth or (length_um >= _PALE_LENGTH_UM and width_um <= _THIN_UM)


def _without_cells(path: _Path, part: MaskArray, od: npt.NDArray[np.float32], mpp: float) -> MaskArray:
    """What of a part is fibre: as wide as it usually is, and without round spots that are much darker."""
    off_path = np.ones(part.shape, np.uint8)
    off_path[path.rows, path.columns] = 0
    away = cv2.distanceTransform(off_path, cv2.DIST_L2, 5)
    fibre = part & (away <= 0.75 * np.count_nonzero(part) / path.length_px() + 0.5)
    dark = (part & (od >= max(_DARKER * float(np.median(od[fibre])), _DARK_OD))).astype(np.uint8)
    cells = np.zeros(part.shape, np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    for index in range(1, count):
        x, y, width, height = (int(value) for value in stats[index, :4])
        window = (slice(y, y + height), slice(x, x + width))
        spot = labels[window] == index
        small = np.count_nonzero(spot) * mpp**2 <= _SMALL_SPOT_UM2
        if small or (float(np.hypot(width, height)) * mpp <= _LARGEST_CELL_UM and not _is_streak(spot, mpp)):
            cells[window] |= spot
    return fibre & (cv2.dilate(cells, np.ones((3, 3), np.uint8)) == 0)


def _is_streak(spot: MaskArray, mpp: float) -> bool:
    """Whether a dark spot on a fibre is drawn out, by its second moments."""
    rows, columns = np.nonzero(spot)
    # With the variance of a pixel itself, so that a row of pixels has a width.
    length, width = (4.0 * math.sqrt(own + 1.0 / 12.0) for own in principal_variances(columns, rows))
    return length > (_STREAK if width * mpp < _STREAK_WIDTH_UM else _DRAWN_OUT) * width


def _running_mean(values: Whole) -> npt.NDArray[np.float64]:
    count = min(_SMOOTHING, len(values))
    return np.convolve(values.astype(np.float64), np.full(count, 1.0 / count), mode="valid")
