"""Flagged tiles that touch become one region."""

import numpy as np
import pytest
import shapely

from inkdot.review.gallery.fields import context_field, tile_field
from inkdot.review.results.merged_regions import rank_merged_regions

SIDE = 100  # level-0 pixels, 50 µm


def test_touching_tiles_are_one_region_with_the_score_of_its_highest(make_slide) -> None:
    # An L of three flagged tiles, a corner that touches it, one apart, and one below the operating point beside.
    positions = [(0, 0), (100, 0), (100, 100), (200, 100), (1000, 0), (0, 100)]
    slide = make_slide(positions, [0.7, 0.9, 0.6, 0.8, 0.75, 0.4])
    ranking = rank_merged_regions(slide, 30, 0.75)
    flagged = [region for region in ranking.regions if region.flagged]
    assert [region.score for region in flagged] == [0.9, 0.75]
    assert [sorted(region.rows) for region in flagged] == [[0, 1, 2, 3], [4]]
    assert flagged[0].corners_l0_px == (0, 0, 300, 200)
    outline = shapely.from_wkt(flagged[0].wkt)
    assert outline.is_valid
    tiles = [shapely.box(x, y, x + SIDE, y + SIDE) for x, y in positions[:3]]
    assert shapely.union_all(tiles).difference(outline).area == pytest.approx(0, abs=1)
    # A tile that is not flagged and lies beside better ones shows nothing new.
    assert ranking.unit == "region"
    assert not ranking.more_flagged
    assert (ranking.flagged_tiles, ranking.tiles) == (5, 6)


def test_the_image_of_a_region_is_its_highest_tile_and_the_surroundings_hold_all_of_it(make_slide) -> None:
    positions = [(x, y) for y in range(0, 1200, 50) for x in range(0, 1200, 50)]
    scores = [0.6 + 0.3 * (x == 500 and y == 600) for x, y in positions]
    slide = make_slide(positions, scores)
    ranking = rank_merged_regions(slide, 120, 0.75)
    first, spec, mpp = ranking.regions[0], slide.facts.spec, slide.facts.frame.mpp
    tile, context = tile_field(first, spec, mpp), context_field(first, spec, mpp)
    assert (tile.x_l0_px, tile.y_l0_px) == (500, 600)
    left, top, right, bottom = first.corners_l0_px
    assert context.x_l0_px <= left
    assert context.y_l0_px <= top
    assert right <= context.x_l0_px + 400
    assert bottom <= context.y_l0_px + 400
    # A large area makes several regions, and every flagged tile is in exactly one.
    rows = [row for region in ranking.regions for row in region.rows]
    assert sorted(rows) == list(range(len(positions)))


def test_without_flagged_tiles_the_highest_are_shown_with_their_distance(make_slide) -> None:
    slide = make_slide([(0, 0), (50, 0), (100, 0), (300, 0)], [0.3, 0.4, 0.2, 0.1])
    ranking = rank_merged_regions(slide, 30, 0.75)
    assert [region.score for region in ranking.regions] == [0.4, 0.1]
    assert not any(region.flagged for region in ranking.regions)


def test_more_flagged_regions_than_shown_are_reported(make_slide) -> None:
    slide = make_slide([(0, 0), (500, 0), (1000, 0)], [0.9, 0.8, 0.7])
    ranking = rank_merged_regions(slide, 2, 0.75)
    assert [region.score for region in ranking.regions] == [0.9, 0.8]
    assert ranking.more_flagged


def test_a_crowded_slide_takes_no_time_to_speak_of(make_slide) -> None:
    steps = np.arange(0, 9000, 100)
    positions = [(int(x), int(y)) for y in steps[:80] for x in steps]
    slide = make_slide(positions, np.linspace(0.5, 0.9, len(positions)).tolist())
    assert len(rank_merged_regions(slide, 30, 0.75).regions) == 30


def test_an_empty_slide_has_no_regions(make_slide) -> None:
    assert rank_merged_regions(make_slide([], []), 30, 0.75).regions == ()


def test_tiles_that_touch_at_a_corner_alone_have_one_outline(make_slide):
    slide = make_slide([(0, 0), (100, 100), (200, 0)], [0.8, 0.9, 0.7])
    (region,) = rank_merged_regions(slide, 30, 0.75).regions
    outline = shapely.Polygon(region.outline)
    assert outline.is_valid
    tiles = shapely.union_all(shapely.box([0, 100, 200], [0, 100, 0], [100, 200, 300], [100, 200, 100]))
    assert outline.covers(tiles)
    assert outline.area < tiles.area * 1.05
