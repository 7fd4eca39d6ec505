"""Merge touching flagged tiles into regions, for slides tiled by a grid."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, cast

import numpy as np
import shapely

from inkdot.records import MaskArray
from inkdot.review.results.ranking import Region, Ranking, View, region_at, score_order, suppressed
from inkdot.review.results.scored_slide import IntArray, ScoredSlide

LARGEST_SIDES: Final = 4.0
"""Maximum width of a region in tile sides: what the image with its surroundings shows."""


def rank_merged_regions(slide: ScoredSlide, top_n: int, min_distance_fraction: float) -> Ranking:
    """The ``top_n`` most suspicious regions of flagged tiles; where there are fewer, the highest other tiles too.

    A region grows from its highest tile over touching flagged tiles; a large area makes several regions. A region has the
    score of its highest tile.

    Args:
        slide: Scores of the slide.
        top_n: How many regions to show at most.
        min_distance_fraction: Tiles that are not flagged keep this distance from better ones and from regions, as a
            fraction (0 to 1) of the tile side.
    """
    order = score_order(slide.flag_margins, slide.x_l0_px, slide.y_l0_px)
    waiting = slide.flagged.copy()
    regions: list[Region] = []
    for rows in _regions(slide, order, waiting):
        regions.append(_region(slide, rows, rank=len(regions) + 1))
        if len(regions) == top_n:
            break
    more = bool(waiting.any())
    covered = order[slide.flagged[order]]
    others = order[~slide.flagged[order]]
    # Flagged tiles first, so that they suppress their neighbours; they are not shown again.
    kept = suppressed(slide, np.concatenate([covered, others]), min_distance_fraction)
    fresh = kept[kept >= len(covered)] - len(covered)
    for index in others[fresh][: top_n - len(regions)]:
        regions.append(region_at(slide, int(index), len(regions) + 1))
    return Ranking(
        regions=tuple(regions),
        flagged_tiles=int(slide.flagged.sum()),
        tiles=len(order),
        more_flagged=more,
        unit="region",
    )


def _regions(slide: ScoredSlide, order: IntArray, waiting: MaskArray) -> Iterator[list[int]]:
    """Rows of the tiles of each region, its highest first; takes them from ``waiting``."""
    width, height = slide.facts.side_l0_px
    margins = slide.flag_margins
    reach_x, reach_y = (LARGEST_SIDES - 1.0) / 2.0 * width, (LARGEST_SIDES - 1.0) / 2.0 * height
    for seed in order:
        if not waiting[seed]:
            continue
        x, y = slide.x_l0_px - slide.x_l0_px[seed], slide.y_l0_px - slide.y_l0_px[seed]
        near = np.flatnonzero(waiting & (np.abs(x) <= reach_x + 1.0) & (np.abs(y) <= reach_y + 1.0))
        rows = _touching(slide, int(seed), near)
        waiting[rows] = False
        yield sorted(rows, key=lambda row: (-margins[row], row))


def _touching(slide: ScoredSlide, seed: int, near: IntArray) -> list[int]:
    """The tiles among ``near`` that touch the seed, directly or through others."""
    width, height = slide.facts.side_l0_px
    found, edge = [seed], [seed]
    left = near[near != seed]
    while edge and len(left):
        x, y = slide.x_l0_px[edge][:, None], slide.y_l0_px[edge][:, None]
        # A pixel of tolerance: corners of a grid are rounded.
        touches = (np.abs(slide.x_l0_px[left] - x) <= width + 1.0) & (
            np.abs(slide.y_l0_px[left] - y) <= height + 1.0
        )
        joined = touches.any(axis=0)
        edge = left[joined].tolist()
        found.extend(edge)
        left = left[~joined]
    return found


def _region(slide: ScoredSlide, rows: list[int], rank: int) -> Region:
    best = region_at(slide, rows[0], rank)
    if len(rows) == 1:
        return best
    width, height = slide.facts.side_l0_px
    x, y = slide.x_l0_px[rows], slide.y_l0_px[rows]
    # Grown by a pixel and shrunk again: rounded corners must leave no slits between neighbours.
    merged = shapely.union_all(shapely.box(x - 1.0, y - 1.0, x + width + 1.0, y + height + 1.0))
    shrunk = shapely.buffer(merged, -1.0, join_style="mitre")
    # Tiles that touch only at a corner would separate again: these stay a pixel larger.
    whole = cast(shapely.Polygon, shrunk if shrunk.geom_type == "Polygon" else merged)
    outline = shapely.Polygon(whole.exterior)
    left, top, right, bottom = outline.bounds
    return replace(
        best,
        x_l0_px=round(left),
        y_l0_px=round(top),
        width_l0_px=right - left,
        height_l0_px=bottom - top,
        outline=tuple((round(px, 1), round(py, 1)) for px, py in outline.exterior.coords),
        view=View(best.x_l0_px, best.y_l0_px, float(slide.facts.spec.side_um)),
        rows=tuple(rows),
    )
