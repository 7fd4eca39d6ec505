"""Regions of a slide as annotations that QuPath opens.

QuPath's origin is the top left corner of the scanned bounds that a file states, that of every table here is the corner
of level 0: the corner of the bounds is subtracted. Rings are closed and right-handed (RFC 7946 §3.1.6:
positive area in x, y), ids are stable across exports, and annotations are not locked, so that they can be
corrected.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from inkdot.errors import UserError
from inkdot.records import BoundsL0
from inkdot.review.measurement_names import qupath_name
from inkdot.review.results.ranking import Ranking, Region, region_at, score_order
from inkdot.review.results.read_results import SlideResults
from inkdot.review.results.scored_clusters import clusters_at
from inkdot.review.results.scored_slide import IntArray, ScoredSlide
from inkdot.review.wording import FOOTER, SYNTHETIC_MODEL, score_text
from inkdot.storage.atomic import atomic_path, write_text

GEOJSON_VERSION = "inkdot.geojson/5"

QUPATH_SCRIPT = "load-regions-in-qupath.groovy"
"""Loads all files of the folder into a QuPath project."""

MAX_FEATURES = 10_000
"""QuPath becomes slow above this; the worklist and the page state how many regions are left out."""

_OURS = b'{"type": "FeatureCollection", "inkdot": {'

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "inkdot.review")
_FLAGGED = {
    "name": "flagged",
    "color": [213, 94, 0],
}  # vermillion and blue of Okabe and Ito, safe for colour blindness
_NOT_FLAGGED = {"name": "shown, not flagged", "color": [0, 114, 178]}
_WARNING = {"name": "warning about the slide", "color": [60, 60, 60]}


@dataclass(frozen=True, slots=True)
class GeojsonSummary:
    """Counts of the regions of a file.

    Attributes:
        features: Regions in the file.
        left_out: Flagged regions that did not fit under the cap.
    """

    features: int
    left_out: int


def write_geojson(
    path: Path,
    reviewed: SlideResults,
    ranking: Ranking,
    max_features: int = MAX_FEATURES,
    warnings: Sequence[str] | None = None,
) -> GeojsonSummary:
    """Write the warnings, the regions shown and all further flagged clusters (or tiles), most suspicious first, as a stream.

    Args:
        path: Where to write.
        reviewed: Scores of the slide.
        ranking: The regions shown; written even where nothing is flagged.
        max_features: Maximum number of regions.
        warnings: Warnings about the slide; those of the scores where None.
    """
    slide = reviewed.slide
    further = _further_flagged(reviewed, ranking)
    total = len(ranking.regions) + further.size
    written = min(total, max_features)
    regions = _regions(reviewed, ranking, further)
    texts = list(slide.facts.warnings if warnings is None else warnings)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        # In ASCII: QuPath reads the file in the encoding of its system, which on Windows need not be UTF-8.
        # Foreign members are allowed (RFC 7946 §6.1); QuPath reads the features alone.
        about = {
            "version": GEOJSON_VERSION,
            "slide_id": slide.facts.frame.slide_id,
            "left_out": total - written,
            "use": FOOTER,
            "warnings": texts,
        }
        head = {
            "type": "FeatureCollection",
            "inkdot": about | ({"warning": SYNTHETIC_MODEL} if slide.facts.synthetic_model else {}),
        }
        file.write(json.dumps(head)[:-1] + ', "features": [')
        notes = (_note(slide, text, index) for index, text in enumerate(texts))
        shown = (feature(slide, region) for _, region in zip(range(written), regions, strict=False))
        for index, one in enumerate(chain(notes, shown)):
            file.write("\n" if index == 0 else ",\n")
            file.write(json.dumps(one, allow_nan=False, separators=(",", ":")))
        file.write("\n]}\n")
    return GeojsonSummary(features=written, left_out=total - written)


def refuse_foreign_verdicts(paths: Iterable[Path]) -> None:
    """Refuse to overwrite a file saved from QuPath under a slide's name: it may hold verdicts.

    Raises:
        UserError: One of the files exists and was not written by Inkdot.
    """
    for path in paths:
        if path.exists() and not path.read_bytes()[:200].startswith(_OURS):
            raise UserError(
                f"{path}: expected a file that inkdot wrote, found another, which may hold verdicts from QuPath; "
                "import them with `inkdot review import`, then move it away"
            )


def feature(slide: ScoredSlide, region: Region) -> dict[str, object]:
    """One region as a GeoJSON feature in QuPath's frame."""
    facts = slide.facts
    identity = f"{facts.model_sha256}/{facts.frame.slide_id}/{region.x_l0_px}/{region.y_l0_px}/{facts.spec.side_um:g}"
    if region.cluster is not None:
        identity += f"/cluster/{region.cluster.cluster_id}"
    words = f"#{region.rank} {score_text(region.score)}"
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, identity)),
        "geometry": {"type": "Polygon", "coordinates": [ring(region, facts.frame.bounds_l0_px)]},
        "properties": {
            "objectType": "annotation",
            "name": f"{words} (synthetic model)" if facts.synthetic_model else words,
            "classification": _FLAGGED if region.flagged else _NOT_FLAGGED,
            "isLocked": False,
            "measurements": measurements(region),
        },
    }


def _note(slide: ScoredSlide, text: str, index: int) -> dict[str, object]:
    """A warning about the whole slide as an annotation, since QuPath shows no file header.

    A square of a tile's size; the warnings lie side by side from the top left corner.
    """
    facts = slide.facts
    bounds = facts.frame.bounds_l0_px
    width, height = (min(side, whole) for side, whole in zip(facts.side_l0_px, _size(bounds), strict=True))
    left = min(index * 1.25 * width, _size(bounds)[0] - width)
    corners = [(0, 0), (width, 0), (width, height), (0, height), (0, 0)]
    identity = f"{facts.model_sha256}/{facts.frame.slide_id}/warning/{text}"
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, identity)),
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[_plain(left + x), _plain(y)] for x, y in corners]],
        },
        "properties": {
            "objectType": "annotation",
            "name": f"! {text}",
            "classification": _WARNING,
            "isLocked": False,
        },
    }


def _size(bounds: BoundsL0) -> tuple[int, int]:
    return bounds.width_l0_px, bounds.height_l0_px


def measurements(region: Region) -> dict[str, float]:
    """Scores and measurements of nuclei under the names of :func:`qupath_name`; QuPath shows them as columns."""
    found: dict[str, float] = {name: round(value, 6) for name, value in region.scores.items()}
    found["rank"] = region.rank
    cluster = region.cluster
    if cluster is not None:
        found |= {"nuclei_estimated": cluster.nuclei, "in_focus": int(cluster.in_focus)}
        found |= {name: round(value, 4) for name, value in cluster.measures.items()}
        if cluster.measured_nuclei is not None:
            found["measured_nuclei"] = cluster.measured_nuclei
    return {qupath_name(name): value for name, value in found.items()}


def write_qupath_script(folder: Path) -> None:
    """Write the script for QuPath that loads all GeoJSON files of the folder into a project."""
    script = files("inkdot.review").joinpath("assets", QUPATH_SCRIPT).read_text(encoding="utf-8")
    write_text(folder / QUPATH_SCRIPT, script)


def ring(region: Region, bounds: BoundsL0) -> list[list[float]]:
    """The closed outline of a region in pixels from the top left corner of the bounds, right-handed."""
    points = [(x - bounds.x_l0_px, y - bounds.y_l0_px) for x, y in region.ring_l0_px]
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(points))
    ordered = points if area > 0 else points[::-1]
    return [[_plain(x), _plain(y)] for x, y in ordered]


def _plain(value: float) -> float:
    """Round to a tenth of a pixel; an int where it is whole."""
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded


def _further_flagged(reviewed: SlideResults, ranking: Ranking) -> IntArray:
    """Rows of flagged clusters, else of flagged tiles, that no shown region covers, highest score first."""
    if reviewed.clusters is not None:
        # Those that another's card shows too: an annotation each, since QuPath has no cards.
        shown = {region.cluster.cluster_id for region in ranking.regions if region.cluster}
        flagged = reviewed.clusters.flagged_rows
    else:
        slide = reviewed.slide
        order = score_order(slide.flag_scores, slide.x_l0_px, slide.y_l0_px)
        shown = {row for region in ranking.regions for row in region.rows}
        flagged = order[slide.flagged[order]]
    return np.asarray([int(row) for row in flagged if int(row) not in shown], dtype=np.int64)


def _regions(reviewed: SlideResults, ranking: Ranking, further: IntArray) -> Iterator[Region]:
    yield from ranking.regions
    first = len(ranking.regions) + 1
    if reviewed.clusters is not None:
        yield from clusters_at(reviewed.clusters, further, first)
        return
    for rank, row in enumerate(further, start=first):
        yield region_at(reviewed.slide, int(row), rank)
