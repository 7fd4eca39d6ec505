"""Which outlines share area, by a spatial index. The adapter to shapely's partly typed array functions."""

# pyright: reportUnknownMemberType=false

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

Outlines = npt.NDArray[np.object_]
"""Polygons in level-0 pixels, shape [n]."""

Indices = npt.NDArray[np.intp]
Areas = npt.NDArray[np.float64]


def as_outlines(geometries: Sequence[BaseGeometry]) -> Outlines:
    """Geometries as an array, shape [n]."""
    outlines = np.empty(len(geometries), dtype=object)
    outlines[:] = geometries
    return outlines


def boxes(
    x_l0_px: npt.NDArray[np.integer],
    y_l0_px: npt.NDArray[np.integer],
    width_l0_px: float,
    height_l0_px: float,
) -> Outlines:
    """Rectangles of one size by their top left corners, in level-0 pixels, shape [n]."""
    return shapely.box(x_l0_px, y_l0_px, x_l0_px + width_l0_px, y_l0_px + height_l0_px)


def areas(outlines: Outlines) -> Areas:
    """Area of each outline in square level-0 pixels, shape [n]."""
    return shapely.area(outlines)


def overlaps(first: Outlines, second: Outlines) -> tuple[Indices, Indices, Areas]:
    """Every pair that shares area: index into ``first``, index into ``second``, shared area.

    Returns:
        Three arrays of shape [pairs], sorted by the first index, then the second.
    """
    a, b = shapely.STRtree(second).query(first, predicate="intersects")
    shared = shapely.area(shapely.intersection(first[a], second[b]))
    order = np.lexsort((b, a))
    order = order[shared[order] > 0.0]
    return a[order], b[order], shared[order]
