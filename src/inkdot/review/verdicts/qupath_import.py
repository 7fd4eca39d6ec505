"""Annotations that a person classified in QuPath, as verdicts about regions.

An annotation's class is the verdict: ``malignant``, ``small cell``, or both as QuPath writes derived classes,
``malignant: small cell``. A verdict on a conditional head (small cell, where malignant) implies that the condition
holds. Classes that are no verdicts, such as the export's own ``flagged``, are counted and ignored.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import shapely
import shapely.affinity
from shapely.geometry.base import BaseGeometry

from inkdot.errors import ManifestError
from inkdot.labels import FINDER_HEAD, NOT_A_CELL, Head

NO_CLASS = "no class"
NO_AREA = "no area"
OUTSIDE = "outside of the slide"


@dataclass(frozen=True, slots=True)
class QupathVerdicts:
    """Verdicts of one file.

    Attributes:
        verdicts: Region in level-0 pixels, head and verdict, in the order of the file.
        ignored: Annotations without a verdict, counted by class.
    """

    verdicts: tuple[tuple[BaseGeometry, str, str], ...]
    ignored: Mapping[str, int]


def read_qupath(
    path: Path,
    heads: Sequence[Head],
    corner_l0_px: tuple[int, int],
    size_l0_px: tuple[int, int] | None = None,
) -> QupathVerdicts:
    """Verdicts in a GeoJSON file that QuPath saved.

    Args:
        path: A FeatureCollection, a list of features, or one feature.
        heads: The heads.
        corner_l0_px: Top left corner of the slide's scanned bounds in level-0 pixels: the origin of QuPath's coordinates.
        size_l0_px: Width and height of the slide in level-0 pixels: annotations wholly outside are
            ignored. None where it is unknown.

    Raises:
        ManifestError: The file is not GeoJSON.
    """
    verdicts: list[tuple[BaseGeometry, str, str]] = []
    ignored: Counter[str] = Counter()
    slide = None if size_l0_px is None else shapely.box(0, 0, *size_l0_px)
    for number, feature in enumerate(_features(path), start=1):
        name = _class_name(f"{path}: annotation {number}", feature)
        found = verdicts_of_class(name, heads)
        if not found:
            ignored[name or NO_CLASS] += 1
            continue
        region = _region(f"{path}: annotation {number}", feature.get("geometry"))
        if region is None:
            ignored[NO_AREA] += 1
            continue
        moved = shapely.affinity.translate(region, *corner_l0_px)
        if slide is not None and not slide.intersects(moved):
            ignored[OUTSIDE] += 1
            continue
        verdicts += [(moved, head, verdict) for head, verdict in found]
    return QupathVerdicts(tuple(verdicts), dict(sorted(ignored.items())))


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


def _class_name(where: str, feature: Mapping[str, object]) -> str:
    """QuPath writes ``name``, or ``names`` for derived classes since 0.5."""
    found: Mapping[str, object] = feature
    for name in ("properties", "classification"):
        value = found.get(name)
        if value is not None and not isinstance(value, dict):
            raise ManifestError(
                f"{where}: expected GeoJSON {name} as QuPath writes them, found {str(value)[:60]!r}"
            )
        found = cast("Mapping[str, object]", value or {})
    names = found.get("names")
    if isinstance(names, list):
        return ": ".join(str(part) for part in cast("list[object]", names))
    return str(found.get("name") or "")


def _features(path: Path) -> list[Mapping[str, object]]:
    try:
        data = cast(object, json.loads(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        raise ManifestError(f"{path}: expected annotations saved by QuPath, found nothing there") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ManifestError(f"{path}: expected GeoJSON saved by QuPath: {error}") from None
    if isinstance(data, dict):
        data = cast("dict[str, object]", data)
        data = data.get("features", [data])
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in cast("list[object]", data)):
        raise ManifestError(
            f"{path}: expected GeoJSON features, found other JSON; save them with File, Export objects as GeoJSON"
        )
    return cast("list[Mapping[str, object]]", data)


def _region(where: str, geometry: object) -> BaseGeometry | None:
    """The area of an annotation, or None for points and lines; outlines that cross themselves are made valid."""
    try:
        shape = shapely.from_geojson(json.dumps(geometry))
    except (shapely.errors.GEOSException, TypeError):
        raise ManifestError(f"{where}: expected a GeoJSON geometry, found {str(geometry)[:60]!r}") from None
    shape = shapely.make_valid(shape)
    parts = [part for part in shapely.get_parts(shape) if part.geom_type in {"Polygon", "MultiPolygon"}]
    return shapely.union_all(parts) if parts else None
