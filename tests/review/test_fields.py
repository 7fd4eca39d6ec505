from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkdot.records import Mpp
from inkdot.review.gallery.fields import (
    MAX_CONTEXT_PX,
    MAX_TILE_PX,
    context_field,
    context_side_um,
    scale_bar,
    tile_field,
)
from inkdot.review.results.merged_regions import rank_merged_regions
from inkdot.review.results.scored_slide import ScoredSlide

MakeSlide = Callable[..., ScoredSlide]


@pytest.mark.parametrize(
    ("width_um", "length_um"), [(32, 10), (64, 20), (128, 20), (150, 50), (256, 50), (20_000, 5000)]
)
def test_bars_have_round_lengths(width_um: float, length_um: int) -> None:
    bar = scale_bar(width_um)
    assert bar.length_um == length_um
    assert bar.fraction * width_um == pytest.approx(length_um)


@settings(deadline=None)  # a busy machine is no fault
@given(st.floats(3, 50_000))
def test_a_bar_is_neither_tiny_nor_wider_than_a_third(width_um: float) -> None:
    bar = scale_bar(width_um)
    assert bar.fraction * width_um == pytest.approx(bar.length_um)
    assert 0.1 <= bar.fraction <= 1 / 3 + 1e-9


@settings(deadline=None)  # a busy machine is no fault
@given(
    mpp=st.tuples(st.floats(0.1, 1.0), st.floats(0.95, 1.05)),
    tile_mpp=st.floats(1.0, 2.0),
    x=st.integers(0, 9000),
    y=st.integers(0, 7000),
)
def test_the_tile_lies_in_the_middle_of_its_surroundings(
    make_slide: MakeSlide, mpp: tuple[float, float], tile_mpp: float, x: int, y: int
) -> None:
    slide = make_slide([(x, y)], [0.9], mpp=(mpp[0], mpp[0] * mpp[1]), tile_mpp=mpp[0] * tile_mpp)
    region = rank_merged_regions(slide, 1, 0.75).regions[0]
    scale = slide.facts.frame.mpp
    field = context_field(region, slide.facts.spec, scale)
    assert field.spec.side_um == pytest.approx(context_side_um(slide.facts.spec.side_um, scale))
    assert field.spec.side_px <= MAX_CONTEXT_PX
    assert field.spec.mpp == pytest.approx(max(scale.x, scale.y), rel=0.01)  # full resolution
    for start, tile_start, step in ((field.x_l0_px, x, scale.x), (field.y_l0_px, y, scale.y)):
        centre_um = start * step + field.spec.side_um / 2
        assert centre_um == pytest.approx(tile_start * step + slide.facts.spec.side_um / 2, abs=step)


@pytest.mark.parametrize(
    ("side_um", "mpp", "expected_um"),
    [
        (64, 0.25, 256),  # cytology: four sides fit into 1,024 px
        (64, 0.5, 256),
        (128, 0.25, 256),  # a section scanned finely: two sides, at full resolution
        (600, 0.25, 900),  # a large region: never less than one and a half sides
    ],
)
def test_the_surroundings_are_as_wide_as_full_resolution_allows(
    side_um: float, mpp: float, expected_um: float
) -> None:
    assert context_side_um(side_um, Mpp.square(mpp)) == pytest.approx(expected_um)


def test_a_tile_is_shown_as_fine_as_the_slide_holds_it(make_slide: MakeSlide) -> None:
    slide = make_slide([(0, 0)], [0.9], mpp=(0.25, 0.25), side_px=128, tile_mpp=0.5)
    region = rank_merged_regions(slide, 1, 0.75).regions[0]
    field = tile_field(region, slide.facts.spec, slide.facts.frame.mpp)
    assert (field.spec.side_px, field.spec.mpp) == (256, 0.25)
    wide = make_slide([(0, 0)], [0.9], mpp=(0.1, 0.1), side_px=1000, tile_mpp=0.25)
    field = tile_field(rank_merged_regions(wide, 1, 0.75).regions[0], wide.facts.spec, wide.facts.frame.mpp)
    assert field.spec.side_px == MAX_TILE_PX
    assert field.spec.side_um == pytest.approx(250)
