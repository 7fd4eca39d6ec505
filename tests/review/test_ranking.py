from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkdot.review.results.merged_regions import rank_merged_regions
from inkdot.review.results.ranking import Ranking
from inkdot.review.results.scored_slide import ScoredSlide

MakeSlide = Callable[..., ScoredSlide]


def regions(ranking: Ranking) -> list[tuple[int, int]]:
    return [(region.x_l0_px, region.y_l0_px) for region in ranking.regions]


def test_the_highest_scores_come_first(make_slide: MakeSlide) -> None:
    slide = make_slide([(0, 0), (1000, 0), (2000, 0)], [0.2, 0.9, 0.6])
    ranking = rank_merged_regions(slide, 30, 0.75)
    assert regions(ranking) == [(1000, 0), (2000, 0), (0, 0)]
    assert [region.rank for region in ranking.regions] == [1, 2, 3]
    assert [region.flagged for region in ranking.regions] == [True, True, False]
    assert (ranking.flagged_tiles, ranking.tiles, ranking.more_flagged) == (2, 3, False)


def test_ties_go_from_top_to_bottom_then_from_left_to_right(make_slide: MakeSlide) -> None:
    slide = make_slide([(500, 900), (900, 100), (100, 100), (0, 900)], [0.7] * 4)
    assert regions(rank_merged_regions(slide, 30, 0.75)) == [(100, 100), (900, 100), (0, 900), (500, 900)]


def test_a_neighbour_too_near_to_a_better_region_is_left_out(make_slide: MakeSlide) -> None:
    # The tile is 50 µm wide, so at 0.75 the least distance is 37.5 µm: 75 px at 0.5 µm/px.
    slide = make_slide([(0, 0), (60, 0), (80, 0)], [0.4, 0.3, 0.2])
    assert regions(rank_merged_regions(slide, 30, 0.75)) == [(0, 0), (80, 0)]


def test_distance_is_measured_on_the_glass_where_pixels_are_not_square(make_slide: MakeSlide) -> None:
    # 60 px are 15 µm along x, but 60 µm along y.
    slide = make_slide([(0, 0), (60, 0), (0, 60)], [0.4, 0.3, 0.2], mpp=(0.25, 1.0))
    assert regions(rank_merged_regions(slide, 30, 0.75)) == [(0, 0), (0, 60)]
    assert (rank_merged_regions(slide, 1, 0.75).regions[0].width_l0_px, slide.facts.side_l0_px) == (
        200.0,
        (200.0, 50.0),
    )


def test_neighbours_of_a_grid_are_kept_at_the_full_distance(make_slide: MakeSlide) -> None:
    # A side of 99.6 px is rounded to 99 or 100 px from tile to tile.
    slide = make_slide([(0, 0), (99, 0), (199, 0)], [0.4, 0.3, 0.2], tile_mpp=0.498)
    assert len(rank_merged_regions(slide, 30, 1.0).regions) == 3


def test_a_slide_with_nothing_flagged_still_shows_its_highest_regions(make_slide: MakeSlide) -> None:
    slide = make_slide([(index * 500, 0) for index in range(10)], [0.01 * index for index in range(10)])
    ranking = rank_merged_regions(slide, 4, 0.75)
    assert [region.flagged for region in ranking.regions] == [False] * 4
    assert ranking.regions[0].score == pytest.approx(0.09)
    assert ranking.flagged_tiles == 0


def test_flagged_regions_that_are_not_shown_are_reported(make_slide: MakeSlide) -> None:
    slide = make_slide([(index * 500, 0) for index in range(5)], [0.9] * 5)
    assert rank_merged_regions(slide, 4, 0.75).more_flagged
    assert not rank_merged_regions(slide, 5, 0.75).more_flagged


def test_flagged_tiles_hidden_behind_better_ones_are_not_missing_regions(make_slide: MakeSlide) -> None:
    slide = make_slide([(0, 0), (10, 0)], [0.9, 0.8])
    assert not rank_merged_regions(slide, 1, 0.75).more_flagged


def test_a_slide_without_tiles_has_no_regions(make_slide: MakeSlide) -> None:
    ranking = rank_merged_regions(make_slide([], []), 30, 0.75)
    assert (ranking.regions, ranking.tiles, ranking.more_flagged) == ((), 0, False)


def slow_ranking(
    tiles: list[tuple[tuple[int, int], float]], top_n: int, least_px: float
) -> list[tuple[int, int]]:
    """The same in words: take the best, drop what is near it, repeat."""
    waiting = sorted(tiles, key=lambda tile: (-tile[1], tile[0][1], tile[0][0]))
    kept: list[tuple[int, int]] = []
    while waiting and len(kept) < top_n:
        (x, y), _ = waiting.pop(0)
        kept.append((x, y))
        waiting = [tile for tile in waiting if (tile[0][0] - x) ** 2 + (tile[0][1] - y) ** 2 >= least_px**2]
    return kept


@settings(max_examples=60, deadline=None)
@given(
    tiles=st.lists(
        st.tuples(
            st.tuples(st.integers(0, 600), st.integers(0, 600)), st.sampled_from([0.1, 0.4, 0.5, 0.8, 0.9])
        ),
        max_size=40,
        unique_by=lambda tile: tile[0],
    ),
    top_n=st.integers(1, 12),
)
def test_ranking_equals_the_plain_algorithm(
    make_slide: MakeSlide, tiles: list[tuple[tuple[int, int], float]], top_n: int
) -> None:
    # Nothing is flagged, so that no tiles are merged.
    slide = make_slide([region for region, _ in tiles], [score for _, score in tiles], threshold=0.95)
    # 0.75 of 100 px, less the pixel allowed for rounding.
    assert regions(rank_merged_regions(slide, top_n, 0.75)) == slow_ranking(tiles, top_n, 74.0)


def test_scores_of_one_in_single_precision_do_not_tie(make_slide: MakeSlide) -> None:
    slide = make_slide([(0, 0), (500, 0), (1000, 0), (1500, 0)], [1.0, 1.0, 1.0, 0.9])
    slide.scores["p.malignancy.benign"][:3] = [1e-9, 1e-12, 1e-10]
    assert regions(rank_merged_regions(slide, 30, 0.75)) == [(500, 0), (1000, 0), (0, 0), (1500, 0)]
