"""Rings of coordinates to valid areas: unclosed, doubled, wound either way, crossing themselves."""

import math
from collections.abc import Sequence

import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from inkdot.annotations.drawing import Notes
from inkdot.errors import AnnotationError

Point = tuple[float, float]
Ring = Sequence[Point]

ELLIPSE_POINTS = 64
"""Corners of the polygon that stands for an ellipse; its area is within 0.2 % of the ellipse's."""


def area_of(exterior: Ring, holes: Sequence[Ring], notes: Notes, where: str) -> BaseGeometry | None:
    """The area inside a ring and outside its holes, in the rings' own frame.

    A ring may be open or closed, wound either way, and repeat points: none of that changes the area. A ring
    that crosses itself encloses what its loops enclose, and a note says so. A ring without area is passed
    over with a note.

    Args:
        exterior: Corners, x before y.
        holes: Rings cut out of it.
        notes: Collects what was mended.
        where: The ring's region in the file, for messages.

    Returns:
        A valid Polygon or MultiPolygon, or None where nothing has an area.

    Raises:
        AnnotationError: A coordinate is not a finite number.
    """
    outer = _distinct(exterior, where)
    if len(outer) < 3:
        notes.add("outlines without area were passed over", where)
        return None
    inner = [ring for hole in holes if len(ring := _distinct(hole, where)) >= 3]
    if len(inner) < len(holes):
        notes.add("holes without area were passed over", where)
    return valid_area(Polygon(outer, inner), notes, where)


def valid_area(geometry: BaseGeometry, notes: Notes, where: str) -> BaseGeometry | None:
    """The polygons of ``geometry``, repaired where rings cross themselves or each other, or None without area."""
    if not geometry.is_valid:
        reason = shapely.is_valid_reason(geometry).split("[")[0].strip()
        notes.add(f"invalid outlines were repaired ({reason})", where)
        geometry = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    return polygons_of(geometry, notes, where)


def polygons_of(geometry: BaseGeometry, notes: Notes, where: str) -> BaseGeometry | None:
    """The parts of ``geometry`` that have an area, or None (with a note) where none has."""
    parts = [
        part
        for part in shapely.get_parts(geometry, return_index=False).tolist()
        if isinstance(part, Polygon) and part.area > 0
    ]
    if not parts:
        notes.add("outlines without area were passed over", where)
        return None
    # Repaired parts may share an edge, which no valid multipolygon does: their union has none.
    return parts[0] if len(parts) == 1 else unary_union(parts)


def box_ring(points: Ring) -> Ring:
    """The rectangle along the axes around points, as programs store boxes by two or four corners."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def ellipse_ring(points: Ring) -> Ring:
    """The ellipse inscribed in the rectangle around points, as a polygon."""
    (left, top), _, (right, bottom), _ = box_ring(points)
    centre_x, centre_y = (left + right) / 2, (top + bottom) / 2
    turns = [2 * math.pi * index / ELLIPSE_POINTS for index in range(ELLIPSE_POINTS)]
    return [
        (centre_x + (right - left) / 2 * math.cos(turn), centre_y + (bottom - top) / 2 * math.sin(turn))
        for turn in turns
    ]


def _distinct(ring: Ring, where: str) -> list[Point]:
    """The ring without repeated neighbours and without a closing point."""
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
