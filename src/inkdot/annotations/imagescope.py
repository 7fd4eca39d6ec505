"""Reads XML of Aperio ImageScope. Coordinates are level-0 pixels.

A file has layers (``Annotation``) of regions. Laboratories store the class of a region in its text, its attributes, or the
name or attributes of its layer, so all of these are candidates, in that order. A region with ``NegativeROA="1"`` is a hole in
the other regions of its layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from inkdot.annotations.drawing import Drawing, DrawnArea, Notes
from inkdot.annotations.rings import Point, Ring, area_of, box_ring, ellipse_ring, polygons_of
from inkdot.annotations.xml_events import number, read_elements
from inkdot.errors import AnnotationError
from inkdot.records import SlideInfo

ROOT = "Annotations"

MPP_TOLERANCE = 0.05
"""Relative difference of the µm/px in file and slide above which the file probably belongs to another scan."""

_FREEHAND, _RECTANGLE, _ELLIPSE, _ARROW, _RULER = "0", "1", "2", "3", "4"


@dataclass(slots=True)
class _Region:
    where: str
    kind: str
    text: str
    negative: bool
    attributes: list[str] = field(default_factory=list[str])
    points: list[Point] = field(default_factory=list[Point])


@dataclass(slots=True)
class _Layer:
    name: str
    attributes: list[str] = field(default_factory=list[str])
    regions: list[_Region] = field(default_factory=list[_Region])


@dataclass(slots=True)
class _File:
    path: Path
    mpp: str = ""
    layers: list[_Layer] = field(default_factory=list[_Layer])
    region: _Region | None = None

    def start(self, name: str, attributes: Mapping[str, str], line: str) -> None:
        where = f"{self.path}: {line}"
        if name == ROOT:
            self.mpp = attributes.get("MicronsPerPixel", "")
        elif name == "Annotation":
            self.layers.append(_Layer(attributes.get("Name", "").strip()))
        elif not self.layers:
            return
        elif name == "Region":
            self.region = _Region(
                where,
                attributes.get("Type", _FREEHAND),
                attributes.get("Text", "").strip(),
                attributes.get("NegativeROA", "0").strip() in ("1", "true", "True"),
            )
            self.layers[-1].regions.append(self.region)
        elif name == "Attribute":
            words = [attributes.get("Value", "").strip(), attributes.get("Name", "").strip()]
            holder = self.region or self.layers[-1]
            holder.attributes.extend(word for word in words if word)
        elif name == "Vertex" and self.region is not None:
            self.region.points.append((number(attributes, "X", where), number(attributes, "Y", where)))

    def end(self, name: str) -> None:
        if name == "Region":
            self.region = None


def read_imagescope(path: Path, info: SlideInfo) -> Drawing:
    """Read all areas of an ImageScope file, in level-0 pixels.

    Raises:
        AnnotationError: The file is not XML, or a coordinate is not a number.
    """
    file, notes = _File(path), Notes()
    read_elements(path, file.start, file.end)
    _compare_mpp(file.mpp, info, notes, str(path))
    areas: list[DrawnArea] = []
    for layer in file.layers:
        holes = [
            geometry
            for one in layer.regions
            if one.negative and (geometry := _geometry(one, notes)) is not None
        ]
        hole = unary_union(holes) if holes else None
        for region in layer.regions:
            if region.negative or (geometry := _geometry(region, notes)) is None:
                continue
            if hole is not None and geometry.intersects(hole):
                geometry = polygons_of(geometry.difference(hole), notes, region.where)
            if geometry is not None:
                where = region.where.removeprefix(f"{path}: ")
                areas.append(DrawnArea(where, _names(region, layer), geometry))
        if holes and len(holes) == len(layer.regions):
            notes.add("layers with negative regions only give no labels", layer.regions[0].where)
    return Drawing("imagescope", areas, notes)


def _names(region: _Region, layer: _Layer) -> tuple[str, ...]:
    words = (region.text, *region.attributes, layer.name, *layer.attributes)
    return tuple(dict.fromkeys(word for word in words if word))


def _geometry(region: _Region, notes: Notes) -> BaseGeometry | None:
    if region.kind in (_ARROW, _RULER):
        notes.add("arrows and rulers have no area and were skipped", region.where)
        return None
    if region.kind not in (_FREEHAND, _RECTANGLE, _ELLIPSE):
        raise AnnotationError(
            f"{region.where}: expected a region of Type 0 (outline), 1 (rectangle), 2 (ellipse), 3 (arrow) or 4 (ruler), "
            f"found {region.kind!r}"
        )
    return area_of(_ring(region), [], notes, region.where)


def _ring(region: _Region) -> Ring:
    """Boxes are stored as two or four corners, ellipses as the corners of their bounding box, others as outlines."""
    if region.kind == _RECTANGLE and len(region.points) == 2:
        return box_ring(region.points)
    if region.kind == _ELLIPSE and len(region.points) in (2, 4):
        return ellipse_ring(region.points)
    return region.points


def _compare_mpp(text: str, info: SlideInfo, notes: Notes, where: str) -> None:
    try:
        stated = float(text)
    except ValueError:
        return
    if stated > 0 and abs(stated / info.mpp.x - 1) > MPP_TOLERANCE:
        notes.add(
            f"the file states {stated:g} µm/px and the slide {info.mpp.x:g}: it may belong to another scan",
            where,
        )
