"""Makes valid geometries from rings that may be open, repeat points, have either orientation or self-intersect."""

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from inkdot.annotations.drawing import Notes
from inkdot.errors import AnnotationError

Point = tuple[float, float]
Ring = Sequence[Point]

MOST_CROSSINGS = 5000
"""Of an outline with itself. To repair 5,000 takes half a second, the square of them longer, and then all of the memory."""

_MOST_QUERIED = 256

ELLIPSE_POINTS = 64
"""Corners of the polygon of an ellipse; its area differs by less than 0.2 %."""


def area_of(exterior: Ring, holes: Sequence[Ring], notes: Notes, where: str) -> BaseGeometry | None:
    """Make the area inside a ring and outside its holes, in the frame of the rings.

    A ring may be open or closed, have either orientation, and repeat points. A ring that crosses itself is repaired with a
    note: the area is that of all its loops. A ring without area is skipped with a note.

    Args:
        exterior: Corners (x, y).
        holes: Rings that are cut out.
        notes: Collects notes.
        where: Position of the ring in the file, for messages.

    Returns:
        A valid Polygon or MultiPolygon, or None without area.

    Raises:
        AnnotationError: A coordinate is not a finite number, or the rings cross more than :data:`MOST_CROSSINGS` times.
    """
    outer = _distinct(exterior, where)
    if len(outer) < 3:
        notes.add("outlines without area were skipped", where)
        return None
    inner = [ring for hole in holes if len(ring := _distinct(hole, where)) >= 3]
    if len(inner) < len(holes):
        notes.add("holes without area were skipped", where)
    return valid_area(Polygon(outer, inner), notes, where)


def valid_area(geometry: BaseGeometry, notes: Notes, where: str) -> BaseGeometry | None:
    """Return the polygons of ``geometry``, repaired where rings cross, or None without area.

    Raises:
        AnnotationError: They cross more than :data:`MOST_CROSSINGS` times.
    """
    if not geometry.is_valid:
        if _crossings(geometry) > MOST_CROSSINGS:
            raise AnnotationError(
                f"{where}: expected the outline of an area, found a line that crosses itself more than {MOST_CROSSINGS:,} times; "
                "draw a closed outline round the area"
            )
        reason = shapely.is_valid_reason(geometry).split("[")[0].strip()
        notes.add(f"invalid outlines were repaired ({reason})", where)
        geometry = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    return polygons_of(geometry, notes, where)


def _crossings(geometry: BaseGeometry) -> int:
    """How often the rings of a geometry meet beyond their own corners; counting stops soon after :data:`MOST_CROSSINGS`."""
    rings = shapely.get_rings(shapely.get_parts(geometry))
    points, ring_of = shapely.get_coordinates(rings, return_index=True)
    inside = ring_of[1:] == ring_of[:-1]
    pairs = np.stack([points[:-1][inside], points[1:][inside]], axis=1)
    segments = cast("npt.NDArray[np.object_]", shapely.linestrings(pairs))
    tree = shapely.STRtree(segments)
    crossings = start = 0
    count = 1  # few at first: each of a large scribble meets thousands
    while start < len(segments):
        some = segments[start : start + count]
        start, count = start + count, min(2 * count, _MOST_QUERIED)
        met, _ = tree.query(some, predicate="intersects")
        crossings += max(0, len(met) - 3 * len(some))  # itself and its two neighbours
        if crossings > 2 * MOST_CROSSINGS:  # each is found from both sides
            break
    return crossings // 2


def polygons_of(geometry: BaseGeometry, notes: Notes, where: str) -> BaseGeometry | None:
    """Return the parts of ``geometry`` with an area, or None (with a note) where none has."""
    parts = [
        part
        for part in shapely.get_parts(geometry, return_index=False).tolist()
        if isinstance(part, Polygon) and part.area > 0
    ]
    # Repaired parts may share an edge, which a valid multipolygon may not: use their union. That of slivers may be empty.
    area = parts[0] if len(parts) == 1 else unary_union(parts)
    if area.area == 0:
        notes.add("outlines without area were skipped", where)
        return None
    return area


def box_ring(points: Ring) -> Ring:
    """Make the axis-parallel rectangle around the corners of a box, which programs store as two or four points."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def ellipse_ring(points: Ring) -> Ring:
    """Make the ellipse inscribed in the rectangle around points, as a polygon."""
    (left, top), _, (right, bottom), _ = box_ring(points)
    centre_x, centre_y = (left + right) / 2, (top + bottom) / 2
    turns = [2 * math.pi * index / ELLIPSE_POINTS for index in range(ELLIPSE_POINTS)]
    return [
        (centre_x + (right - left) / 2 * math.cos(turn), centre_y + (bottom - top) / 2 * math.sin(turn))
        for turn in turns
    ]


def _distinct(ring: Ring, where: str) -> list[Point]:
    """The ring without repeated points and without a closing point."""
    points: list[Point] = []
    for point in ring:
        if not (math.isfinite(point[0]) and math.isfinite(point[1])):
            raise AnnotationError(
                f"{where}: expected finite coordinates in pixels, found ({point[0]}, {point[1]})"
            )
        if not points or points[-1] != point:
            points.append(point)
    while len(points) > 1 and points[0] == points[-1]:
        points.pop()
    return points
