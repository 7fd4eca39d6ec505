"""The small spot of a cytospin, of unknown size and without a ring: the disc in which cells are densest.

Of all discs of 4 to 13 mm that with the highest likelihood ratio of two densities, inside and outside, to one (the
circular scan statistic, Kulldorff 1997). Its edge is soft: cells lie beyond it, so it is stated and nothing is hidden.
"""

import math
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.tiling.foreground.cell_spot import Spot, visible_fraction
from inkdot.tiling.foreground.foreground_classes import ForegroundClass
from inkdot.tiling.foreground.stain_map import Bytes, Planes

SMALL_SPOT_UM: Final = (4_000.0, 13_000.0)
"""Smallest and largest diameter that is tried, in µm."""

LEAST_RATIO: Final = 3.0
"""Minimum density of cells inside, of that outside. Crops and smears without a spot reach 2.5, two real spots 3.5 and 18."""

_SQUARE_UM = 100.0
_STEP_UM = 250.0  # of the diameter
_CELL_UM2 = (80.0, 8_000.0)  # larger than a red cell: debris of that size is rare
_CELLS = (ForegroundClass.FOREGROUND, ForegroundClass.BLUR)
_LEAST_VISIBLE = 0.5  # of the circumference, in the image
_LEAST_OCCUPIED = 100  # squares: fewer are too few to tell
_LEAST_LIKELIHOOD = 50.0  # natural logarithm of the ratio
_LEAST_INSIDE = 0.5  # of the disc, in the image
_LEAST_OUTSIDE = 0.05  # of the image, outside of the disc

_Map = npt.NDArray[np.float32]


def find_small_spot(classes: Bytes, planes: Planes) -> Spot | None:
    """The disc of a cytospin, or None where no disc holds several times as many cells per area as the rest.

    Args:
        classes: :class:`ForegroundClass` per mask pixel, shape [height, width]; fibres, clots and specks do not count.
        planes: The slide at the scale of the mask.
    """
    frame = planes.frame
    extent_um = (frame.width_px * frame.mpp, frame.height_px * frame.mpp)
    if min(extent_um) < SMALL_SPOT_UM[0]:
        return None
    occupied = _occupied(classes, planes)
    if float(occupied.sum()) < _LEAST_OCCUPIED:
        return None
    best: tuple[float, float, float, float, float] | None = None
    # A disc wider than the image has no outside.
    largest_um = min(SMALL_SPOT_UM[1], math.hypot(*extent_um))
    for diameter_um in np.arange(SMALL_SPOT_UM[0], largest_um + 1.0, _STEP_UM).tolist():
        found = _best_centre(occupied, 0.5 * diameter_um / _SQUARE_UM)
        if best is None or found[0] > best[0]:
            best = (*found, diameter_um)
    if best is None or best[0] < _LEAST_LIKELIHOOD or best[1] < LEAST_RATIO:
        return None
    _, ratio, x, y, diameter_um = best
    visible = visible_fraction(
        x, y, 0.5 * diameter_um / _SQUARE_UM, (extent_um[0] / _SQUARE_UM, extent_um[1] / _SQUARE_UM)
    )
    if visible < _LEAST_VISIBLE:
        return None
    return Spot(
        x * _SQUARE_UM, y * _SQUARE_UM, 0.5 * diameter_um, round(visible, 3), "cells", round(ratio, 1)
    )


def _occupied(classes: Bytes, planes: Planes) -> _Map:
    """Squares of 100 µm that hold the middle of something as large as a cell: 1, others 0. A clump counts once."""
    mpp = planes.frame.mpp
    table = np.zeros(256, np.uint8)
    table[[int(kind) for kind in _CELLS]] = 1
    cells = cast("Bytes", cv2.LUT(classes, table))
    count, labels, _, middles = cast(
        "tuple[int, npt.NDArray[np.int32], object, npt.NDArray[np.float64]]",
        cv2.connectedComponentsWithStats(cells, connectivity=8),
    )
    where = np.nonzero(cells)
    areas_um2 = np.bincount(labels[where], planes.stained[where], count) * (mpp**2 / 255.0)
    fit = (areas_um2 >= _CELL_UM2[0]) & (areas_um2 <= _CELL_UM2[1])
    squares = ((middles[fit] + 0.5) * (mpp / _SQUARE_UM)).astype(np.intp)
    rows, columns = (math.ceil(length * mpp / _SQUARE_UM) for length in classes.shape)
    occupied = np.zeros((rows, columns), np.float32)
    occupied[squares[:, 1], squares[:, 0]] = 1.0
    return occupied


def _best_centre(occupied: _Map, radius: float) -> tuple[float, float, float, float]:
    """For discs of one radius (squares): the highest logarithm of the likelihood ratio, ratio of densities, and centre."""
    reach = math.ceil(radius)
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    disc = (np.hypot(steps[:, None], steps[None, :]) <= radius).astype(np.float32)
    area = _sums(np.ones_like(occupied), disc, reach)
    inside = np.rint(_sums(occupied, disc, reach))
    total_area, total = float(occupied.size), float(occupied.sum())
    usable = (area >= _LEAST_INSIDE * float(disc.sum())) & (total_area - area >= _LEAST_OUTSIDE * total_area)
    within = inside / np.maximum(area, 1.0)
    beyond = (total - inside) / np.maximum(total_area - area, 1.0)
    gain = (
        _log_likelihood(inside, area)
        + _log_likelihood(total - inside, total_area - area)
        - _log_likelihood(np.array(total), np.array(total_area))
    )
    gain = np.where(usable & (within > beyond), gain, -np.inf)
    row, column = np.unravel_index(int(np.argmax(gain)), gain.shape)
    ratio = float(within[row, column]) / max(float(beyond[row, column]), 1.0 / total_area)
    return float(gain[row, column]), ratio, float(column) - reach + 0.5, float(row) - reach + 0.5


def _sums(values: _Map, disc: _Map, reach: int) -> npt.NDArray[np.float64]:
    padded = np.pad(values, reach)
    return cast(_Map, cv2.filter2D(padded, cv2.CV_32F, disc, borderType=cv2.BORDER_CONSTANT)).astype(
        np.float64
    )


def _log_likelihood(
    occupied: npt.NDArray[np.float64], squares: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Of so many occupied squares among so many, at their own frequency."""
    empty = squares - occupied
    frequency = np.clip(occupied / np.maximum(squares, 1.0), 1e-9, 1.0 - 1e-9)
    return occupied * np.log(frequency) + empty * np.log1p(-frequency)
