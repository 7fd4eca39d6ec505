"""Air bubbles and edges of glass, which refract light: grey rings and grey lines."""

import math
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.records import MaskArray
from inkdot.tiling.foreground.stain_map import Planes

BUBBLE_RADIUS_UM: Final = (40.0, 2500.0)
"""Smallest and largest radius of an air bubble."""

_MOSTLY_GREY = 100  # of 255: the wall is a few mask pixels wide and soft
_LEAST_OF_CIRCLE = 0.6
_LEAST_OF_PART = 0.8  # where the image cuts a bubble, what is left must be nearly whole
_ROUNDNESS = 0.04
_SECTORS = 72
_WALL_FRACTION = 0.22  # a bubble's wall is double; its inner ring lies this far inside at most
_LINE_WIDTH_UM = 28.0
_LINE_LENGTH_UM = 1000.0
_LINE_IMAGE_FRACTION = 0.5
_Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle in mask pixels."""

    x_px: float
    y_px: float
    radius_px: float


def bubbles(planes: Planes) -> MaskArray:
    """Air bubbles, each with all that lies in it: grey rings, closed over most of their circumference."""
    mpp = planes.frame.mpp
    found = np.zeros(planes.grey.shape, np.uint8)
    for part in _grey_parts(planes, 1.2 * BUBBLE_RADIUS_UM[0]):
        circle = _ring(part, planes.grey.shape, mpp)
        if circle is not None:
            centre = (round(circle.x_px), round(circle.y_px))
            radius = math.ceil(circle.radius_px + 0.06 * circle.radius_px + 4.0 / mpp)
            cv2.circle(found, centre, radius, (1.0,), cv2.FILLED)
    return found > 0


def straight_lines(planes: Planes) -> MaskArray:
    """Long, thin, straight and grey: the edge of a coverslip, or a crack."""
    mpp = planes.frame.mpp
    found = np.zeros(planes.grey.shape, np.bool_)
    shorter = min(planes.grey.shape) * mpp
    least_length_um = min(_LINE_LENGTH_UM, max(_LINE_IMAGE_FRACTION * shorter, 200.0))
    for part in _grey_parts(planes, 0.7 * least_length_um):
        (_, sides, _) = cv2.minAreaRect(part.astype(np.float32))
        if max(sides) * mpp >= least_length_um and min(sides) * mpp <= max(
            _LINE_WIDTH_UM, 0.02 * max(sides) * mpp
        ):
            found[part[:, 1].astype(np.intp), part[:, 0].astype(np.intp)] = True
    if not found.any():
        return found
    beside = cv2.dilate(found.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return found | (beside & (planes.grey > 0) & (planes.grey >= planes.stained // 2))


def _grey_parts(planes: Planes, least_extent_um: float) -> list[_Points]:
    """Connected grey things of some extent: their mask pixels as (x, y), shape [n, 2] each."""
    grey = ((planes.grey >= _MOSTLY_GREY) & (planes.grey >= planes.stained // 2)).astype(np.uint8)
    if not grey.any():
        return []
    # Cells that lie across break a thin line.
    closed = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    parts: list[_Points] = []
    least = least_extent_um / planes.frame.mpp
    for index in np.flatnonzero(np.maximum(stats[:, 2], stats[:, 3]) >= least):
        if index:
            x, y, w, h = (int(value) for value in stats[index, :4])
            inside = (labels[y : y + h, x : x + w] == index) & (grey[y : y + h, x : x + w] > 0)
            rows, columns = np.nonzero(inside)
            parts.append(np.stack([columns + x, rows + y], axis=1).astype(np.float64))
    return parts


def _ring(part: _Points, shape: tuple[int, ...], mpp: float) -> Circle | None:
    """The circle that a grey thing is the wall of, if it is one."""
    height, width = shape
    hull = cast("npt.NDArray[np.int32]", cv2.convexHull(part.astype(np.int32)))[:, 0, :].astype(np.float64)
    # Where the image cuts a bubble, the hull runs along the border and not along the wall.
    inner = hull[(hull[:, 0] > 0) & (hull[:, 1] > 0) & (hull[:, 0] < width - 1) & (hull[:, 1] < height - 1)]
    circle = fitted_circle(inner)
    if circle is None or not BUBBLE_RADIUS_UM[0] <= circle.radius_px * mpp <= BUBBLE_RADIUS_UM[1]:
        return None
    away = np.hypot(part[:, 0] - circle.x_px, part[:, 1] - circle.y_px) / circle.radius_px
    slack = 6.0 / mpp / circle.radius_px
    in_wall = (away >= 1.0 - _WALL_FRACTION - slack) & (away <= 1.0 + 0.08 + slack)
    if np.count_nonzero(in_wall) < 0.7 * len(part):
        return None
    outermost, visible = _sectors(part[in_wall], circle, width, height)
    seen = outermost[outermost > 0]
    # By direction, not by corners: eight corners of a letter lie on a circle, its sides do not.
    unround = float(np.std(seen)) if seen.size else math.inf
    if unround > _ROUNDNESS * circle.radius_px + 0.3:
        return None
    least = _LEAST_OF_CIRCLE if visible >= 0.9 * _SECTORS else _LEAST_OF_PART
    return circle if seen.size >= least * visible and visible >= 0.4 * _SECTORS else None


def _sectors(wall: _Points, circle: Circle, width: int, height: int) -> tuple[npt.NDArray[np.float64], int]:
    """How far out (mask pixels) the wall is seen in each direction, 0 where it is not, and where it could be."""
    angles = np.arctan2(wall[:, 1] - circle.y_px, wall[:, 0] - circle.x_px)
    sector = np.floor((angles + np.pi) / (2.0 * np.pi) * _SECTORS).clip(0, _SECTORS - 1).astype(np.intp)
    outermost = np.zeros(_SECTORS)
    np.maximum.at(outermost, sector, np.hypot(wall[:, 0] - circle.x_px, wall[:, 1] - circle.y_px))
    middles = (np.arange(_SECTORS) + 0.5) / _SECTORS * 2.0 * np.pi - np.pi
    x = circle.x_px + circle.radius_px * np.cos(middles)
    y = circle.y_px + circle.radius_px * np.sin(middles)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return outermost, int(np.count_nonzero(inside))


def fitted_circle(points: _Points) -> Circle | None:
    """The circle with the least squared algebraic distance (Kåsa 1976) from points (x, y), shape [n, 2]."""
    if len(points) < 6:
        return None
    x, y = points[:, 0], points[:, 1]
    design = np.stack([x, y, np.ones_like(x)], axis=1)
    solution, _, rank, _ = np.linalg.lstsq(design, x * x + y * y, rcond=None)
    if rank < 3:
        return None
    centre_x, centre_y = solution[0] / 2.0, solution[1] / 2.0
    square = solution[2] + centre_x**2 + centre_y**2
    return Circle(float(centre_x), float(centre_y), math.sqrt(square)) if square > 0 else None
