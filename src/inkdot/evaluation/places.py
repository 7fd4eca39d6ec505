"""What became of the places of a slide: the regions that readers labelled, and the clusters that were scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.config import LabellingConfig
from inkdot.datasets.lesions import labelled_regions
from inkdot.labels import Head, head_slices
from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.review.results.scored_clusters import ScoredClusters
from inkdot.review.verdicts.missed_labels import is_marked_missed
from inkdot.storage.tables.labels_table import RegionLabel
from inkdot.tiling.polygon_overlap import Outlines, areas, as_outlines, boxes, overlaps

_SMALLEST_PX = 0.5
"""A point is taken for a square of this half side: it has no area that a tile could hold."""


@dataclass(frozen=True, slots=True)
class ScoredTiles:
    """Tiles of one slide with their scores.

    Attributes:
        outlines: Their squares in level-0 pixels, shape [n].
        scores: Probabilities of the classes of all heads, shape [n, classes].
        flag_scores: Those of the flag class, shape [n].
        flagged: Whether they reach the operating point, shape [n].
        ranked: Scores of what the slide is reviewed by, shape [m]: its clusters, else its tiles.
    """

    outlines: Outlines
    scores: FloatArray
    flag_scores: FloatArray
    flagged: BoolArray
    ranked: FloatArray


@dataclass(frozen=True, slots=True)
class LabelledRegion:
    """A region with a label, and the score of the tiles that show it.

    Attributes:
        head: Name of the head that the label is about.
        target: Mean target of its readers by class of this head.
        centre_l0_px: Middle of its box, x and y in level-0 pixels.
        score: Highest score of the flag class of a tile that shows it; None where no tile was cut there.
        rank: How many clusters (tiles where there are none) of the slide score higher, plus 1; 0 without a tile.
        flagged: Whether that score reaches the operating point.
        scores: Probabilities of that tile by class of this head; empty without a tile.
        marked_missed: A reader marked it in a review because nothing was shown there.
    """

    head: str
    target: tuple[float, ...]
    centre_l0_px: tuple[int, int]
    score: float | None
    rank: int
    flagged: bool
    scores: tuple[float, ...]
    marked_missed: bool = False


@dataclass(frozen=True, slots=True)
class Clusters:
    """Scored clusters of one slide.

    Attributes:
        truth: 1 where malignant, 0 where not, NaN where unknown, shape [n].
        scores: Of the flag class, 0 to 1, shape [n].
        flagged: Whether it reaches the operating point, shape [n].
        nuclei: Estimated number of nuclei, shape [n].
    """

    truth: FloatArray
    scores: FloatArray
    flagged: BoolArray
    nuclei: npt.NDArray[np.int64]


def tile_outlines(
    x_l0_px: npt.NDArray[np.int64], y_l0_px: npt.NDArray[np.int64], side_l0_px: tuple[float, float]
) -> Outlines:
    """Squares of tiles by their top left corners, in level-0 pixels, shape [n]."""
    return boxes(x_l0_px, y_l0_px, *side_l0_px)


def regions_of(
    labels: Sequence[RegionLabel], heads: Sequence[Head], tiles: ScoredTiles, labelling: LabellingConfig
) -> tuple[LabelledRegion, ...]:
    """The labelled regions of a slide with the scores of the tiles that show them.

    A tile shows a region where it would be labelled by it in training: it holds enough of the region, or is covered enough by it.

    Args:
        labels: Labels of regions of the slide, by all readers.
        heads: All heads, in the order of the columns of scores.
        tiles: The scored tiles.
        labelling: How much is enough.
    """
    columns, found = head_slices(heads), list[LabelledRegion]()
    missed = {label.geometry.wkb for label in labels if is_marked_missed(label.source)}
    for head in heads:
        regions = labelled_regions(labels, head)
        if not regions:
            continue
        outlines = _with_area([geometry for geometry, _ in regions])
        shown_by = _tiles_showing(outlines, tiles.outlines, labelling)
        for (geometry, target), outline, rows in zip(regions, outlines, shown_by, strict=True):
            marked = geometry.wkb in missed
            left, top, right, bottom = cast(BaseGeometry, outline).bounds
            centre = round((left + right) / 2), round((top + bottom) / 2)
            if not len(rows):
                found.append(LabelledRegion(head.name, target, centre, None, 0, False, (), marked))
                continue
            best = rows[np.argmax(tiles.flag_scores[rows])]
            score = float(tiles.flag_scores[best])
            found.append(
                LabelledRegion(
                    head=head.name,
                    target=target,
                    centre_l0_px=centre,
                    score=score,
                    rank=1 + int((tiles.ranked > score).sum()),
                    flagged=bool(tiles.flagged[best]),
                    scores=tuple(tiles.scores[best, columns[head.name]].tolist()),
                    marked_missed=marked,
                )
            )
    return tuple(found)


def clusters_of(
    clusters: ScoredClusters, labels: Sequence[RegionLabel], head: Head, truth: bool | None
) -> Clusters:
    """The scored clusters of a slide with their truth.

    A cluster of a negative slide is negative. Elsewhere it is as the labelled regions that its outline shares area with: positive
    where one of them is, negative where all are, unknown where there is none.

    Args:
        clusters: The clusters.
        labels: Labels of regions of the slide.
        head: The flagging head.
        truth: Whether the slide is positive; None where unknown.
    """
    rows = np.flatnonzero(~np.isnan(clusters.flag_scores))
    own = np.full(len(rows), 0.0 if truth is False else np.nan)
    regions = labelled_regions(labels, head) if truth is not False else []
    if regions and len(rows):
        outlines = as_outlines(
            [
                shapely.from_wkt(text)
                for text in cast("list[str]", clusters.table.column("geometry").take(rows).to_pylist())
            ]
        )
        column = head.classes.index(head.flag_class or "")
        weights = np.array([target[column] for _, target in regions])
        cluster, region, _ = overlaps(outlines, _with_area([geometry for geometry, _ in regions]))
        own[cluster[weights[region] < 0.5]] = 0.0
        own[cluster[weights[region] == 0.5]] = np.nan
        own[cluster[weights[region] > 0.5]] = 1.0
    nuclei = np.array(clusters.table.column("nuclei").to_pylist(), np.int64)
    return Clusters(own, clusters.flag_scores[rows], clusters.flagged[rows], nuclei[rows])


def _with_area(geometries: Sequence[BaseGeometry]) -> Outlines:
    return as_outlines(
        [own if own.area > 0.0 else own.buffer(_SMALLEST_PX, cap_style="square") for own in geometries]
    )


def _tiles_showing(
    regions: Outlines, tiles: Outlines, labelling: LabellingConfig
) -> list[npt.NDArray[np.intp]]:
    """Rows of the tiles that show each region."""
    if not len(tiles):
        return [np.array([], np.intp) for _ in regions]
    region, tile, shared = overlaps(regions, tiles)
    enough = (shared >= labelling.min_region_fraction * areas(regions)[region]) | (
        shared >= labelling.min_tile_fraction * areas(tiles)[tile]
    )
    return [tile[enough & (region == index)] for index in range(len(regions))]
