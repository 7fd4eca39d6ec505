"""Annotations that a person classified in QuPath, as verdicts about regions.

An annotation's class is the verdict: ``malignant``, ``small cell``, or both as QuPath writes derived classes,
``malignant: small cell``. A verdict on a conditional head (small cell, where malignant) implies that the condition
holds. Classes that are no verdicts, such as the export's own ``flagged``, are counted and ignored.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.annotations import read_qupath_objects
from inkdot.errors import AnnotationError, ManifestError
from inkdot.labels import FINDER_HEAD, NOT_A_CELL, Head

NO_CLASS = "no class"
OUTSIDE = "outside of the slide"


@dataclass(frozen=True, slots=True)
class QupathVerdicts:
    """Verdicts of one file.

    Attributes:
        verdicts: Region in level-0 pixels, head and verdict, in the order of the file.
        ignored: Annotations without a verdict, counted by class.
        notes: Repaired and skipped objects, one line per kind.
    """

    verdicts: tuple[tuple[BaseGeometry, str, str], ...]
    ignored: Mapping[str, int]
    notes: tuple[str, ...] = ()


def read_qupath(
    path: Path,
    heads: Sequence[Head],
    corner_l0_px: tuple[int, int],
    size_l0_px: tuple[int, int] | None = None,
) -> QupathVerdicts:
    """Verdicts in a GeoJSON file that QuPath saved.

    Args:
        path: A FeatureCollection, a list of features, or one feature, with child objects or without. Only annotations are read:
            cells and tiles of a detection are nobody's verdicts.
        heads: The heads.
        corner_l0_px: Top left corner of the slide's scanned bounds in level-0 pixels: the origin of QuPath's coordinates.
        size_l0_px: Width and height of the slide in level-0 pixels: annotations wholly outside are
            ignored. None where it is unknown.

    Raises:
        ManifestError: The file is missing, not GeoJSON, or has a damaged outline.
    """
    if not path.exists():
        raise ManifestError(f"{path}: expected annotations saved by QuPath, found nothing there")
    verdicts: list[tuple[BaseGeometry, str, str]] = []
    ignored: Counter[str] = Counter()
    slide = None if size_l0_px is None else shapely.box(0, 0, *size_l0_px)
    try:
        drawing = read_qupath_objects(path, corner_l0_px)
    except AnnotationError as error:
        raise ManifestError(str(error)) from None
    for area in drawing.areas:
        name = area.names[0] if area.names else ""
        found = verdicts_of_class(name, heads)
        if not found:
            ignored[name or NO_CLASS] += 1
        elif slide is not None and not slide.intersects(area.geometry):
            ignored[OUTSIDE] += 1
        else:
            verdicts += [(area.geometry, head, verdict) for head, verdict in found]
    return QupathVerdicts(tuple(verdicts), dict(sorted(ignored.items())), drawing.notes.sentences(path.name))


def verdicts_of_class(class_name: str, heads: Sequence[Head]) -> list[tuple[str, str]]:
    """Heads and verdicts of a class name, in the order of the heads; none unless all its parts are verdicts."""
    if _plain(class_name) == _plain(NOT_A_CELL):
        return [(FINDER_HEAD.name, NOT_A_CELL)]
    found: dict[str, str] = {}
    for part in class_name.split(":"):
        matching = [
            (head.name, verdict)
            for head in heads
            for verdict in head.labels
            if _plain(verdict) == _plain(part)
        ]
        if len(matching) != 1:
            return []
        head_name, verdict = matching[0]
        if found.setdefault(head_name, verdict) != verdict:
            return []
    for head in heads:
        if head.name in found and head.condition is not None:
            opening = _opening_verdicts(head, heads)
            if not opening or found.setdefault(head.condition[0], opening[0]) not in opening:
                return []
    return [(head.name, found[head.name]) for head in heads if head.name in found]


def _plain(words: str) -> str:
    """Normalise case and separators: Small cell, small-cell and small_cell are the same."""
    return re.sub(r"[\s_-]+", " ", words.strip().lower())


def _opening_verdicts(head: Head, heads: Sequence[Head]) -> list[str]:
    """Verdicts that mean the class that ``head`` depends on by more than half, highest weight first."""
    assert head.condition is not None
    name, required = head.condition
    weights = {
        verdict: weights.get(required, 0.0)
        for other in heads
        if other.name == name
        for verdict, weights in other.labels.items()
    }
    return sorted(
        (verdict for verdict, weight in weights.items() if weight > 0.5),
        key=lambda verdict: -weights[verdict],
    )
