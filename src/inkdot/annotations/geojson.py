"""Reads GeoJSON of QuPath, version 0.2 and later.

The origin of QuPath coordinates is the top left corner of the bounds that a slide file states, so that corner is added.
Derived classes are one name (``Tumor: large_cell``, up to 0.3) or a list of names (from 0.4 on).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from inkdot.annotations.class_rules import SEPARATOR
from inkdot.annotations.drawing import Drawing, DrawnArea, Notes
from inkdot.annotations.json_stream import top_level_items
from inkdot.annotations.rings import Point, Ring, area_of, valid_area
from inkdot.errors import AnnotationError

_AREAS = ("Polygon", "MultiPolygon")
_NO_AREA = ("Point", "MultiPoint", "LineString", "MultiLineString")
_OLD_IDS = {
    "PathAnnotationObject": "annotation",
    "PathDetectionObject": "detection",
    "PathCellObject": "cell",
    "PathTileObject": "tile",
    "TMACoreObject": "tma_core",
    "PathRootObject": "root",
}
"""Up to QuPath 0.2 the member ``id`` stated the type of object."""

_Object = Mapping[str, object]


def read_geojson(path: Path, text: str, offset: Point, object_types: Sequence[str]) -> Drawing:
    """Read all areas of a GeoJSON file, in level-0 pixels.

    Args:
        path: The file, for messages.
        text: Content of the file.
        offset: Origin of the coordinates (x, y) in level-0 pixels, added to every coordinate.
        object_types: Types of QuPath objects to read; others are skipped with a note.

    Raises:
        AnnotationError: The text is not GeoJSON.
    """
    notes = Notes()
    areas: list[DrawnArea] = []
    for index, item in enumerate(top_level_items(text, str(path)), start=1):
        where = f"{path}: feature {index}"
        for feature in _features(item, where):
            kind = _object_type(feature)
            if kind == "root":  # it only holds the others
                continue
            if kind not in object_types:
                notes.add(f"objects of type {kind!r} were skipped (annotations.object_types)", where)
                continue
            geometry = feature.get("geometry")
            if geometry is None:
                notes.add("features without geometry were skipped", where)
                continue
            region = _region(_mapping(geometry, f"{where}: geometry"), offset, notes, where)
            if region is not None:
                areas.append(DrawnArea(f"feature {index}", _names(feature, where), region))
    return Drawing("geojson", areas, notes)


def _features(item: object, where: str) -> Iterator[_Object]:
    """A feature and its child objects, since QuPath exports hierarchies; a bare geometry counts as a feature."""
    feature = _mapping(item, where)
    kind = feature.get("type")
    if kind == "FeatureCollection":
        for inner in _list(feature.get("features"), f"{where}: features"):
            yield from _features(inner, where)
        return
    if kind in (*_AREAS, *_NO_AREA, "GeometryCollection"):
        yield {"type": "Feature", "geometry": feature, "properties": {}}
        return
    if kind != "Feature":
        raise AnnotationError(
            f"{where}: expected a GeoJSON Feature, found type {kind!r}; export the annotations as GeoJSON"
        )
    yield feature
    for holder in (feature, _mapping(feature.get("properties") or {}, f"{where}: properties")):
        for child in _list(holder.get("childObjects") or [], f"{where}: childObjects"):
            yield from _features(child, where)


def _object_type(feature: _Object) -> str:
    properties = _mapping(feature.get("properties") or {}, "properties")
    named = properties.get("objectType") or properties.get("object_type")
    if isinstance(named, str):
        return named.lower()
    return _OLD_IDS.get(str(feature.get("id")), "annotation")


def _names(feature: _Object, where: str) -> tuple[str, ...]:
    properties = cast(_Object, feature.get("properties") or {})
    chosen = properties.get("classification")
    if chosen is None:
        return ()
    if isinstance(chosen, str):
        return (chosen.strip(),) if chosen.strip() else ()
    classification = _mapping(chosen, f"{where}: classification")
    names = classification.get("names")
    if isinstance(names, list):
        joined = SEPARATOR.join(str(name).strip() for name in cast(list[object], names))
    else:
        joined = str(classification.get("name") or "").strip()
    return (joined,) if joined else ()


def _region(geometry: _Object, offset: Point, notes: Notes, where: str) -> BaseGeometry | None:
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        inner = _list(geometry.get("geometries"), f"{where}: geometries")
        parts = [_region(_mapping(one, where), offset, notes, where) for one in inner]
        return _joined([part for part in parts if part is not None], notes, where)
    if kind in _NO_AREA:
        notes.add(f"objects of geometry {kind} have no area and were skipped", where)
        return None
    if kind not in _AREAS:
        raise AnnotationError(f"{where}: expected a Polygon or MultiPolygon, found geometry type {kind!r}")
    coordinates = _list(geometry.get("coordinates"), f"{where}: coordinates")
    polygons = [coordinates] if kind == "Polygon" else [_list(one, where) for one in coordinates]
    found: list[BaseGeometry] = []
    for rings in polygons:
        if not rings:
            notes.add("outlines without area were skipped", where)
            continue
        shapes = [_ring(ring, offset, where) for ring in rings]
        if (area := area_of(shapes[0], shapes[1:], notes, where)) is not None:
            found.append(area)
    return _joined(found, notes, where)


def _joined(areas: Sequence[BaseGeometry], notes: Notes, where: str) -> BaseGeometry | None:
    if len(areas) <= 1:
        return areas[0] if areas else None
    parts = [part for area in areas for part in getattr(area, "geoms", [area])]
    whole = MultiPolygon(parts)
    # Parts that touch or overlap are one area, drawn in pieces: no fault worth a warning.
    return whole if whole.is_valid else valid_area(unary_union(parts), notes, where)


def _ring(value: object, offset: Point, where: str) -> Ring:
    ring: list[Point] = []
    for point in _list(value, f"{where}: ring"):
        pair = cast(list[object], point) if isinstance(point, list) else list[object]()
        if len(pair) < 2 or not all(
            isinstance(one, int | float) and not isinstance(one, bool) for one in pair[:2]
        ):
            raise AnnotationError(f"{where}: expected points as [x, y] in pixels, found {str(pair)[:60]}")
        ring.append((float(cast(float, pair[0])) + offset[0], float(cast(float, pair[1])) + offset[1]))
    return ring


def _mapping(value: object, where: str) -> _Object:
    if not isinstance(value, dict):
        raise AnnotationError(
            f"{where}: expected a JSON object, found {type(value).__name__}; export the annotations as GeoJSON"
        )
    return cast(_Object, value)


def _list(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise AnnotationError(f"{where}: expected a JSON list, found {type(value).__name__}")
    return cast(list[object], value)
