"""What an answer is about, by the key that a page sends: a region that was shown, a slide, or a region marked as missed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import shapely

from inkdot.bounded_json import parse_json
from inkdot.config import SlideCategory
from inkdot.errors import ManifestError
from inkdot.labels import FINDER_HEAD, Head
from inkdot.review.verdicts.questions import (
    ADEQUACY,
    ADEQUATE,
    CATEGORY,
    INADEQUATE,
    MISSED,
    NEGATIVE,
    missed_verdicts,
)
from inkdot.serve.served_results import ServedResults
from inkdot.storage.tables.labels_table import read_region
from inkdot.storage.verdict_schema import AnswerKind

MAX_CORNERS = 500
"""Corners of a region marked as missed; the page draws at most 120."""

_OPENING_WEIGHT = (
    0.5  # a verdict that means a class by more than this makes the heads apply that depend on it
)


class VerdictRefusedError(ValueError):
    """The request holds no valid verdict of this review."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer is about.

    Attributes:
        kind: A region that was shown, a slide, or a region marked as missed.
        slide_id: Name of the slide as it is shown.
        geometry: WKT POLYGON in level-0 pixels; empty for a slide.
        rank: Number on the card; 0 without a card.
        score: Score on the card, 0 to 1; None in a blinded review and without a card.
    """

    kind: AnswerKind
    slide_id: str
    geometry: str = ""
    rank: int = 0
    score: float | None = None


def answered_by(key: str, results: ServedResults) -> Answered:
    """Look up a key: that of a region, ``["slide", "slide"]``, or ``["slide", "missed", "POLYGON ((…))"]``.

    Raises:
        VerdictRefusedError: It belongs to nothing of this review, or the marked region is not on the slide.
    """
    region = results.regions.get(key)
    if region is not None:
        return Answered("region", region.slide_id, region.geometry, region.rank, region.score)
    match _parts(key):
        case [str(name), "slide"] if name in results.sizes_l0_px:
            return Answered("slide", name)
        case [str(name), "missed", str(outline)] if name in results.sizes_l0_px:
            return Answered("missed", name, _checked_outline(outline, results.sizes_l0_px[name]))
        case _:
            raise VerdictRefusedError("expected a region or slide of this review")


def is_answered(key: str, results: ServedResults) -> bool:
    """Whether a stored key belongs to this review."""
    if key in results.regions:
        return True
    parts = _parts(key)
    return len(parts) > 1 and parts[0] in results.sizes_l0_px and parts[1] in {"slide", "missed"}


def slide_key(name: str) -> str:
    """The key of a slide, as pages make it."""
    return json.dumps([name, "slide"], ensure_ascii=False, separators=(",", ":"))


def _parts(key: str) -> list[object]:
    if not key.startswith('["'):
        return []
    try:
        found = parse_json(key)
    except ValueError:
        return []
    return cast("list[object]", found) if isinstance(found, list) else []


def _checked_outline(outline: str, size_l0_px: tuple[int, int] | None) -> str:
    """The outline, where it is one polygon that lies on the slide at least in part."""
    try:
        region = read_region("the marked region", outline)
    except ManifestError as error:
        raise VerdictRefusedError(str(error)) from None
    if region.geom_type != "Polygon" or outline.count(",") > MAX_CORNERS:
        raise VerdictRefusedError(f"expected one outline of at most {MAX_CORNERS} corners")
    if size_l0_px is None or not region.intersects(shapely.box(0, 0, *size_l0_px)):
        raise VerdictRefusedError("expected a marked region that lies on the slide")
    return outline


def check_verdicts(heads: tuple[Head, ...], verdicts: Mapping[str, str]) -> None:
    """Check that heads and verdicts are known, that "not a cell" stands alone, and that the conditions of the heads are met.

    Raises:
        VerdictRefusedError: One is not.
    """
    if FINDER_HEAD.name in verdicts and len(verdicts) > 1:
        raise VerdictRefusedError("expected 'not a cell' or verdicts on the heads, found both")
    known = {head.name: head for head in (*heads, FINDER_HEAD)}
    for name, verdict in verdicts.items():
        head = known.get(name)
        if head is None or verdict not in head.labels:
            raise VerdictRefusedError("expected a head of this review and one of its verdicts")
        if head.condition is None:
            continue
        other, required = head.condition
        weights = known[other].labels.get(verdicts.get(other, "")) if other in known else None
        if weights is None or weights.get(required, 0.0) <= _OPENING_WEIGHT:
            raise VerdictRefusedError(f"{name} is asked only where the verdict on {other} is {required}")


def check_missed(heads: tuple[Head, ...], verdicts: Mapping[str, str]) -> None:
    """Check what a reader says about a region marked as missed; nothing takes the mark back.

    Raises:
        VerdictRefusedError: It is not asked.
    """
    if verdicts and (set(verdicts) != {MISSED} or verdicts[MISSED] not in missed_verdicts(heads)):
        raise VerdictRefusedError(f"expected {', '.join(missed_verdicts(heads))}")


def category_meanings(
    categories: Sequence[SlideCategory], before: Mapping[str, Mapping[str, str]], verdicts: Mapping[str, str]
) -> dict[str, str]:
    """What the category among the answers about a slide means, by head; empty where there is none.

    Args:
        categories: Those that are offered.
        before: The stored answers, whose category may be one of earlier words.
        verdicts: The new answers by head.

    Raises:
        VerdictRefusedError: An answer is not among those that are asked, or the slide would be inadequate and negative.
    """
    if not set(verdicts) <= {ADEQUACY, CATEGORY}:
        raise VerdictRefusedError("expected answers about adequacy and category of the slide")
    if verdicts.get(ADEQUACY, ADEQUATE) not in {ADEQUATE, INADEQUATE}:
        raise VerdictRefusedError(f"expected {ADEQUATE} or {INADEQUATE}")
    if CATEGORY not in verdicts:
        return {}
    meanings = {category.name: str(category.means) for category in categories}
    earlier = before.get(CATEGORY)
    if earlier is not None:
        meanings.setdefault(earlier["verdict"], earlier.get("means", ""))
    means = meanings.get(verdicts[CATEGORY])
    if means is None:
        raise VerdictRefusedError("expected a category that this review offers")
    if means == NEGATIVE and verdicts.get(ADEQUACY) == INADEQUATE:
        raise VerdictRefusedError("expected an inadequate slide or a negative one, found both")
    return {CATEGORY: means}
