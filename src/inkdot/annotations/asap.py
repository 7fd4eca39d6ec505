"""Reads XML of ASAP. Coordinates are level-0 pixels from the corner of level 0.

The class of an annotation is its group (``PartOfGroup``). Groups may be nested; their path is joined as in derived classes of
QuPath. Holes are areas of a separate group (``_2`` in CAMELYON16, often ``Exclusion``), to be listed under
``annotations.cut_out``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inkdot.annotations.class_rules import SEPARATOR
from inkdot.annotations.drawing import Drawing, DrawnArea, Notes
from inkdot.annotations.rings import Point, area_of, box_ring
from inkdot.annotations.xml_events import number, read_elements
from inkdot.errors import AnnotationError

ROOT = "ASAP_Annotations"

_NO_GROUP = ("", "None")
_OUTLINES = ("Polygon", "Spline", "Rectangle")
_NO_AREA = ("Dot", "PointSet", "Measurement")


@dataclass(slots=True)
class _Outline:
    where: str
    kind: str
    group: str
    points: list[tuple[float, Point]] = field(default_factory=list[tuple[float, Point]])


@dataclass(slots=True)
class _File:
    """Content read so far; groups follow the annotations that name them."""

    path: Path
    outlines: list[_Outline] = field(default_factory=list[_Outline])
    parents: dict[str, str] = field(default_factory=dict[str, str])
    open_outline: _Outline | None = None

    def start(self, name: str, attributes: Mapping[str, str], line: str) -> None:
        where = f"{self.path}: {line}"
        if name == "Annotation":
            group = attributes.get("PartOfGroup", "").strip()
            self.open_outline = _Outline(where, attributes.get("Type", "Polygon"), group)
            self.outlines.append(self.open_outline)
        elif name == "Coordinate" and self.open_outline is not None:
            points = self.open_outline.points
            order = number(attributes, "Order", where) if "Order" in attributes else float(len(points))
            points.append((order, (number(attributes, "X", where), number(attributes, "Y", where))))
        elif name == "Group":
            self.parents[attributes.get("Name", "").strip()] = attributes.get("PartOfGroup", "").strip()

    def end(self, name: str) -> None:
        if name == "Annotation":
            self.open_outline = None


def read_asap(path: Path) -> Drawing:
    """Read all areas of an ASAP file, in level-0 pixels.

    A spline is read as the polygon through its points, from which it deviates by less than a nucleus.

    Raises:
        AnnotationError: The file is not XML, or a coordinate is not a number.
    """
    file, notes = _File(path), Notes()
    read_elements(path, file.start, file.end)
    areas: list[DrawnArea] = []
    for outline in file.outlines:
        if outline.kind in _NO_AREA:
            notes.add(f"objects of type {outline.kind} have no area and were skipped", outline.where)
            continue
        if outline.kind not in _OUTLINES:
            raise AnnotationError(
                f"{outline.where}: expected Type {', '.join((*_OUTLINES, *_NO_AREA))}, found {outline.kind!r}"
            )
        # The sort is stable: points with the same Order keep the order of the file.
        ring = [point for _, point in sorted(outline.points, key=lambda point: point[0])]
        if outline.kind == "Rectangle" and len(ring) == 2:
            ring = box_ring(ring)
        if (region := area_of(ring, [], notes, outline.where)) is not None:
            areas.append(
                DrawnArea(
                    outline.where.removeprefix(f"{path}: "), _names(outline.group, file.parents), region
                )
            )
    return Drawing("asap", areas, notes)


def _names(group: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    """The path of nested groups, then the name of the innermost group."""
    chain: list[str] = []
    while group not in _NO_GROUP and group not in chain:
        chain.insert(0, group)
        group = parents.get(group, "")
    if not chain:
        return ()
    return (SEPARATOR.join(chain),) if len(chain) == 1 else (SEPARATOR.join(chain), chain[-1])
