"""Shape of small masks: how convex they are, and where their edge runs."""

from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.morphometry.arrays import contours
from inkdot.records import MaskArray

_ROUND: Final = np.ones((3, 3), np.uint8)

OUTLINE_POINTS: Final = 32
"""Most points of an outline: a disc drawn with as many has 0.6 % less area."""

_TOLERANCE_PX: Final = 0.25


def solidity(mask: MaskArray) -> float:
    """Area of a mask as a fraction (0 to 1) of its convex hull, both counted in pixels."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return 0.0
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate(outlines)), 1)
    return float(mask.sum()) / max(1.0, float(hull.sum()))


def principal_variances(x: npt.NDArray[np.number], y: npt.NDArray[np.number]) -> tuple[float, float]:
    """Variance of points along the longer and the shorter principal axis, in the squared unit of the coordinates.

    The full axis of an ellipse that is filled with such points is 4 standard deviations long.

    Args:
        x: Shape [n], n at least 1.
        y: Shape [n], in the same unit.
    """
    smaller, larger = np.linalg.eigvalsh(np.cov(np.stack([x, y]), bias=True))
    return float(larger), max(float(smaller), 0.0)


def rim(mask: MaskArray) -> MaskArray:
    """The pixels of a mask that touch its outside; the array's border counts as outside."""
    padded = np.pad(mask, 1).astype(np.uint8)
    inner = cast("npt.NDArray[np.uint8]", cv2.erode(padded, _ROUND))
    return mask & ~inner[1:-1, 1:-1].astype(np.bool_)


def depth(mask: MaskArray) -> npt.NDArray[np.float32]:
    """Distance in pixels of every pixel of a mask to the outside; the array's border counts as outside."""
    padded = np.pad(mask, 1).astype(np.uint8)
    return cast("npt.NDArray[np.float32]", cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1])


def outline(mask: MaskArray) -> npt.NDArray[np.float64]:
    """The outer outline of the largest part of a mask, simplified to at most ``OUTLINE_POINTS`` points.

    Marching squares, then Douglas and Peucker (1973) with a tolerance of a quarter of a pixel, more where that leaves too
    many points. Its area is that of the mask within the roughness of the pixels.

    Args:
        mask: Shape [height, width], with at least one pixel.

    Returns:
        Points x, y in pixels from the top left corner of the mask, so that a pixel's centre is at 0.5; shape [n, 2], not
        closed.
    """
    rings = [ring[:-1, ::-1] + 0.5 for ring in contours(mask)]
    longest = max(rings, key=lambda ring: cv2.contourArea(ring.astype(np.float32)))
    tolerance = _TOLERANCE_PX
    while True:
        points = cv2.approxPolyDP(longest.astype(np.float32), tolerance, closed=True)
        if len(points) <= OUTLINE_POINTS:
            return np.asarray(points, np.float64).reshape(-1, 2)
        tolerance *= 1.25
