"""Places of a slide as annotations that QuPath opens.

QuPath counts pixels from the top left corner of the scanned bounds that a file states, every table here
from that of level 0: the bounds' corner is subtracted. Rings are closed and right-handed (RFC 7946 §3.1.6:
positive area in x, y), ids are the same in every export, and annotations are not locked, so that a person
can correct them.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inkdot.artefacts.atomic import atomic_path
from inkdot.records import BoundsL0
from inkdot.review.ranking import Place, Ranking, place_at, score_order
from inkdot.review.scored_slide import IntArray, ScoredSlide
from inkdot.review.wording import FOOTER, SYNTHETIC_MODEL

GEOJSON_VERSION = "inkdot.geojson/1"

MAX_FEATURES = 10_000
"""QuPath turns sluggish far above this; what is left out is stated in the worklist and on the page."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "inkdot.review")
_FLAGGED = {
    "name": "flagged",
    "color": [213, 94, 0],
}  # vermillion and blue of Okabe and Ito: told apart by everyone
_NOT_FLAGGED = {"name": "shown, not flagged", "color": [0, 114, 178]}


@dataclass(frozen=True, slots=True)
class GeojsonSummary:
    """What a file holds.

    Attributes:
        features: Places in the file.
        left_out: Flagged tiles that did not fit under the cap.
    """

    features: int
    left_out: int


def write_geojson(
    path: Path, slide: ScoredSlide, ranking: Ranking, max_features: int = MAX_FEATURES
) -> GeojsonSummary:
    """Write the places shown and all further flagged tiles, most suspicious first, as a stream.

    Args:
        path: Where to write.
        slide: Scores of the slide.
        ranking: The places shown; they are in the file even where nothing is flagged.
        max_features: At most so many places.
    """
    further = _further_flagged(slide, ranking)
    total = len(ranking.places) + further.size
    written = min(total, max_features)
    places = _places(slide, ranking, further)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        # Foreign members are allowed (RFC 7946 §6.1); QuPath reads the features alone.
        about = {
            "version": GEOJSON_VERSION,
            "slide_id": slide.facts.frame.slide_id,
            "left_out": total - written,
            "use": FOOTER,
        }
        head = {
            "type": "FeatureCollection",
            "inkdot": about | ({"warning": SYNTHETIC_MODEL} if slide.facts.synthetic_model else {}),
        }
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "features": [')
        for index, place in zip(range(written), places, strict=False):
            file.write("\n" if index == 0 else ",\n")
            file.write(
                json.dumps(feature(slide, place), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            )
        file.write("\n]}\n")
    return GeojsonSummary(features=written, left_out=total - written)


def feature(slide: ScoredSlide, place: Place) -> dict[str, object]:
    """One place as a GeoJSON feature in QuPath's frame."""
    facts = slide.facts
    identity = (
        f"{facts.model_sha256}/{facts.frame.slide_id}/{place.x_l0_px}/{place.y_l0_px}/{facts.spec.side_um:g}"
    )
    words = f"#{place.rank} {place.score:.3f}"
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, identity)),
        "geometry": {"type": "Polygon", "coordinates": [ring(place, facts.frame.bounds_l0_px)]},
        "properties": {
            "objectType": "annotation",
            "name": f"{words} (synthetic model)" if facts.synthetic_model else words,
            "classification": _FLAGGED if place.flagged else _NOT_FLAGGED,
            "isLocked": False,
            "measurements": {name: round(value, 6) for name, value in place.scores.items()}
            | {"rank": place.rank},
        },
    }


def ring(place: Place, bounds: BoundsL0) -> list[list[int]]:
    """The closed outline of a place in pixels from the top left corner of the bounds."""
    left, top, right, bottom = place.corners_l0_px
    x0, x1 = left - bounds.x_l0_px, right - bounds.x_l0_px
    y0, y1 = top - bounds.y_l0_px, bottom - bounds.y_l0_px
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def _further_flagged(slide: ScoredSlide, ranking: Ranking) -> IntArray:
    """Rows of flagged tiles that are not shown, highest score first."""
    shown = {(place.x_l0_px, place.y_l0_px) for place in ranking.places}
    order = score_order(slide.flag_scores, slide.x_l0_px, slide.y_l0_px)
    flagged = order[slide.flagged[order]]
    fresh = [int(row) for row in flagged if (int(slide.x_l0_px[row]), int(slide.y_l0_px[row])) not in shown]
    return np.asarray(fresh, dtype=np.int64)


def _places(slide: ScoredSlide, ranking: Ranking, further: IntArray) -> Iterator[Place]:
    yield from ranking.places
    for rank, row in enumerate(further, start=len(ranking.places) + 1):
        yield place_at(slide, int(row), rank)
