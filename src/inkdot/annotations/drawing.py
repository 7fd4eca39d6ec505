"""What every dialect is read into before classes are mapped: drawn areas, and notes on what was mended."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shapely.geometry.base import BaseGeometry

UNCLASSIFIED = "(unclassified)"
"""The class of an area that was drawn without one; may be listed under ``annotations.ignore``."""


@dataclass(frozen=True, slots=True)
class DrawnArea:
    """One area that a person drew.

    Attributes:
        where: Where it stands in the file, for messages.
        names: What it may be called, the name that counts most first. The first name that the config knows
            decides; programs with one name per area give one.
        region: Valid polygon or multipolygon in level-0 pixels.
    """

    where: str
    names: tuple[str, ...]
    geometry: BaseGeometry


@dataclass(slots=True)
class Notes:
    """What was mended or passed over while reading, counted by kind so that a large file says each thing once."""

    _counts: dict[str, int] = field(default_factory=dict[str, int])
    _first: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, kind: str, where: str) -> None:
        """Count one more of ``kind``; the region of the first goes into the warning."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._first.setdefault(kind, where)

    def sentences(self, source: str) -> tuple[str, ...]:
        """One warning per kind, in the order in which they first occurred."""
        return tuple(
            f"{source}: {kind}: {count} (first: {self._first[kind]})" for kind, count in self._counts.items()
        )


@dataclass(frozen=True, slots=True)
class Drawing:
    """All that one file holds.

    Attributes:
        dialect: Which program's form it has.
        areas: In the order of the file.
        notes: What was mended or passed over.
    """

    dialect: str
    areas: Sequence[DrawnArea]
    notes: Notes
