"""Which outlines share area, by a spatial index. The adapter to shapely's partly typed array functions."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
from scipy import sparse
from scipy.sparse import csgraph
from shapely.geometry.base import BaseGeometry

Outlines = npt.NDArray[np.object_]
"""Polygons in level-0 pixels, shape [n]."""

Indices = npt.NDArray[np.intp]
Areas = npt.NDArray[np.float64]
Lengths = npt.NDArray[np.float64]


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


def outlines_of_rings(rings: Sequence[npt.NDArray[np.float64]], margin: float) -> Outlines:
    """Polygons round the points of each ring (shape [points, 2]), grown by a margin in the same unit."""
    hulls = [
        shapely.Polygon(ring) if len(ring) >= 3 else shapely.MultiPoint(ring).convex_hull  # a line of pixels
        for ring in rings
    ]
    return shapely.buffer(as_outlines(hulls), margin, quad_segs=2)


def near_pairs(outlines: Outlines, distance: float) -> tuple[Indices, Indices]:
    """Every pair of outlines at most ``distance`` apart, edge to edge, the smaller index first."""
    first, second = shapely.STRtree(outlines).query(outlines, predicate="dwithin", distance=distance)
    ordered = first < second
    return first[ordered], second[ordered]


def gaps(outlines: Outlines, first: Indices, second: Indices) -> Lengths:
    """Distance between outlines, edge to edge, by pairs of indices; 0 where they touch, shape [pairs]."""
    return shapely.distance(outlines[first], outlines[second])


def connected_groups(count: int, first: Indices, second: Indices) -> list[list[int]]:
    """Groups of the indices below ``count`` that pairs connect, directly or through others; each ascending, by first index."""
    graph = sparse.coo_matrix((np.ones(len(first), np.bool_), (first, second)), shape=(count, count))
    groups: dict[int, list[int]] = {}
    for index, component in enumerate(csgraph.connected_components(graph, directed=False)[1].tolist()):
        groups.setdefault(component, []).append(index)
    return list(groups.values())


def around(outlines: Outlines, gap: float) -> BaseGeometry:
    """One polygon round outlines whose gaps are at most ``gap``: grown until they meet, then shrunk again."""
    grown = shapely.union_all(shapely.buffer(outlines, 0.5 * gap + 0.5, quad_segs=2))
    shape = shapely.simplify(shapely.buffer(grown, -0.5 * gap, quad_segs=2), 0.5)
    return shape if shape.geom_type == "Polygon" else shape.convex_hull


def scaled(outline: BaseGeometry, by_x: float, by_y: float) -> BaseGeometry:
    """An outline with its coordinates multiplied, rounded to a tenth."""
    return shapely.transform(outline, lambda xy: np.round(xy * np.array([by_x, by_y]), 1))


def meets_box(outline: BaseGeometry, left: float, top: float, right: float, bottom: float) -> bool:
    """Whether an outline and a rectangle have a point in common."""
    return bool(shapely.intersects(outline, shapely.box(left, top, right, bottom)))


def points_inside(
    outline_wkt: str, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Whether points lie inside an outline given as WKT, shape [n]."""
    return np.asarray(shapely.contains_xy(shapely.from_wkt(outline_wkt), x, y), np.bool_).reshape(-1)
