"""Rank the regions of a slide by score."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inkdot.review.results.cluster_facts import ClusterFacts
from inkdot.review.results.scored_slide import FloatArray, IntArray, ScoredSlide

Unit = Literal["cluster", "region"]
"""What one card shows: a cluster, or a tile or touching flagged tiles."""


@dataclass(frozen=True, slots=True)
class View:
    """The square that the image of a region shows.

    Attributes:
        x_l0_px: Left edge in level-0 pixels.
        y_l0_px: Top edge in level-0 pixels.
        side_um: Its side in µm.
    """

    x_l0_px: int
    y_l0_px: int
    side_um: float


@dataclass(frozen=True, slots=True)
class Region:
    """A region of a slide that is shown for review.

    Attributes:
        rank: 1 for the most suspicious region of the slide.
        x_l0_px: Left edge of its box in level-0 pixels.
        y_l0_px: Top edge of its box in level-0 pixels.
        width_l0_px: Width of its box in (fractional) level-0 pixels.
        height_l0_px: Height of its box in (fractional) level-0 pixels.
        score: Score of the flag class, 0 to 1.
        flagged: The score is at or above the locked operating point; else the region is among the highest scores of the slide.
        scores: All scores by column name, 0 to 1.
        outline: Closed ring in level-0 pixels, where the region is not its box.
        view: The field of its image, where that is not its box.
        rows: Rows of the tiles that its scores come from, the highest first.
        cluster: Facts about the cluster, where the region is one.
        spread: Of an ensemble: standard deviation of its models' scores of the highest tile; None of one network.
    """

    rank: int
    x_l0_px: int
    y_l0_px: int
    width_l0_px: float
    height_l0_px: float
    score: float
    flagged: bool
    scores: Mapping[str, float]
    outline: tuple[tuple[float, float], ...] = ()
    view: View | None = None
    rows: tuple[int, ...] = ()
    cluster: ClusterFacts | None = None
    spread: float | None = None

    @property
    def corners_l0_px(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom edge in whole level-0 pixels."""
        return (
            self.x_l0_px,
            self.y_l0_px,
            round(self.x_l0_px + self.width_l0_px),
            round(self.y_l0_px + self.height_l0_px),
        )

    @property
    def ring_l0_px(self) -> tuple[tuple[float, float], ...]:
        """Its closed outline in level-0 pixels, clockwise on the screen where it is the box."""
        left, top, right, bottom = self.corners_l0_px
        return self.outline or ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))

    @property
    def wkt(self) -> str:
        """Its outline as WKT POLYGON in level-0 pixels, which identifies it in verdicts."""
        return f"POLYGON (({', '.join(f'{x:g} {y:g}' for x, y in _exact(self.ring_l0_px))}))"


def _exact(ring: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    return [(round(x, 1), round(y, 1)) for x, y in ring]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The regions shown for one slide.

    Attributes:
        regions: Most suspicious first.
        flagged_tiles: Tiles of the whole slide at or above the operating point.
        tiles: Tiles of the whole slide.
        more_flagged: There are more flagged regions than are shown.
        unit: What a region is.
        units: Clusters of the whole slide that have a score, with a card of their own or in the image of another's; None
            where not counted.
        flagged_units: Those at or above the operating point, as in ``predictions.csv``; None where not counted.
    """

    regions: tuple[Region, ...]
    flagged_tiles: int
    tiles: int
    more_flagged: bool
    unit: Unit
    units: int | None = None
    flagged_units: int | None = None


def score_order(scores: FloatArray, x_l0_px: IntArray, y_l0_px: IntArray) -> IntArray:
    """Indices of tiles, highest score first; ties from top to bottom, then from left to right."""
    return np.lexsort((x_l0_px, y_l0_px, -scores)).astype(np.int64)


def suppressed(slide: ScoredSlide, order: IntArray, min_distance_fraction: float) -> IntArray:
    """Greedy non-maximum suppression over tiles sorted best first.

    Args:
        slide: Scores of the slide.
        order: Rows of the tiles.
        min_distance_fraction: Least distance of two kept tiles' corners on the glass, as a fraction (0 to 1) of the tile
            side. Measured in µm, so that it is right where pixels are not square.

    Returns:
        Indices into ``order`` of the tiles kept.
    """
    x_um = slide.x_l0_px[order].astype(np.float64) * slide.facts.frame.mpp.x
    y_um = slide.y_l0_px[order].astype(np.float64) * slide.facts.frame.mpp.y
    # Less by one pixel: corners are rounded to whole pixels, which must not make neighbours of a grid suppress
    # each other.
    rounding_um = max(slide.facts.frame.mpp.x, slide.facts.frame.mpp.y)
    least_um = max(0.0, min_distance_fraction * slide.facts.spec.side_um - rounding_um)
    waiting = np.ones(len(x_um), dtype=np.bool_)
    kept: list[int] = []
    for index in range(len(waiting)):
        if waiting[index]:
            kept.append(index)
            waiting &= (x_um - x_um[index]) ** 2 + (y_um - y_um[index]) ** 2 >= least_um**2
    return np.asarray(kept, dtype=np.int64)


def region_at(slide: ScoredSlide, index: int, rank: int) -> Region:
    """The tile in row ``index`` of the scores table as a region."""
    width, height = slide.facts.side_l0_px
    return Region(
        rank=rank,
        x_l0_px=int(slide.x_l0_px[index]),
        y_l0_px=int(slide.y_l0_px[index]),
        width_l0_px=width,
        height_l0_px=height,
        score=float(slide.flag_scores[index]),
        flagged=bool(slide.flagged[index]),
        scores={name: float(column[index]) for name, column in slide.scores.items()},
        rows=(index,),
        spread=slide.spread_at(index),
    )
