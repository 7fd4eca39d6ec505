"""Shape of small masks: how convex they are, and where their edge runs."""

from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.records import MaskArray

_ROUND: Final = np.ones((3, 3), np.uint8)


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
