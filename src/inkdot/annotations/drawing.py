"""Content of an annotation file before classes are mapped: areas, and notes on repairs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shapely.geometry.base import BaseGeometry

UNCLASSIFIED = "(unclassified)"
"""Class of an area without one; may be listed under ``annotations.ignore``."""


@dataclass(frozen=True, slots=True)
class DrawnArea:
    """One annotated area.

    Attributes:
        where: Position in the file, for messages.
        names: Candidates for its class, most important first; the first one in the config is used. Programs with one class
            per area give one name.
        geometry: Valid polygon or multipolygon in level-0 pixels.
    """

    where: str
    names: tuple[str, ...]
    geometry: BaseGeometry


@dataclass(slots=True)
class Notes:
    """Repaired and skipped objects, counted by kind, so that a large file gives one warning per kind."""

    _counts: dict[str, int] = field(default_factory=dict[str, int])
    _first: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, kind: str, where: str) -> None:
        """Count one more of ``kind``; the position of the first one goes into the warning."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._first.setdefault(kind, where)

    def sentences(self, source: str) -> tuple[str, ...]:
        """One warning per kind, in the order of first occurrence."""
        return tuple(
            f"{source}: {kind}: {count} (first: {self._first[kind]})" for kind, count in self._counts.items()
        )


@dataclass(frozen=True, slots=True)
class Drawing:
    """Content of one file.

    Attributes:
        dialect: Format of the file.
        areas: Areas in the order of the file.
        notes: Notes on repaired and skipped objects.
    """

    dialect: str
    areas: Sequence[DrawnArea]
    notes: Notes
