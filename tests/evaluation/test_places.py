"""Labelled regions and clusters matched with what was scored, on squares laid by hand."""

import numpy as np
import pytest
import shapely

from inkdot.config import LabellingConfig
from inkdot.evaluation.places import LabelledRegion, ScoredTiles, regions_of, tile_outlines
from inkdot.evaluation.sections.misses import FOUND, LOW, NO_TILE, region_fate
from inkdot.labels import DEFAULT_HEADS
from inkdot.storage.tables.labels_table import RegionLabel


def label(x: float, y: float, side: float, head: str, name: str, reader: str = "r") -> RegionLabel:
    return RegionLabel(
        slide_id="s",
        geometry=shapely.box(x, y, x + side, y + side),
        head=head,
        label=name,
        reader=reader,
        source="annotation",
    )


def tiles() -> ScoredTiles:
    """Three squares of 100 px: flagged, low, and another one beyond."""
    x = np.array([0, 200, 400])
    flags = np.array([0.9, 0.2, 0.6])
    scores = np.stack([1 - flags, flags, np.array([0.1, 0.7, 0.5]), np.array([0.9, 0.3, 0.5])], axis=1)
    return ScoredTiles(
        outlines=tile_outlines(x, np.zeros(3, np.int64), (100.0, 100.0)),
        scores=scores,
        flag_scores=flags,
        flagged=flags >= 0.5,
        ranked=flags,
    )


def found(*labels: RegionLabel) -> tuple[LabelledRegion, ...]:
    return regions_of(labels, DEFAULT_HEADS, tiles(), LabellingConfig())


def test_a_region_is_found_scored_low_or_was_never_cut() -> None:
    regions = found(
        label(40, 40, 20, "malignancy", "malignant"),
        label(240, 40, 20, "malignancy", "malignant"),
        label(140, 40, 20, "malignancy", "malignant"),
    )
    assert [region_fate(own) for own in regions] == [FOUND, LOW, NO_TILE]
    assert [own.rank for own in regions] == [1, 3, 0]
    assert [own.score for own in regions] == [pytest.approx(0.9), pytest.approx(0.2), None]
    assert regions[2].centre_l0_px == (150, 50)


@pytest.mark.parametrize(("x", "cut"), [(89, True), (91, False), (100, False)])
def test_a_tile_shows_a_region_of_which_it_holds_half(x: int, cut: bool) -> None:
    (region,) = found(label(x, 40, 20, "malignancy", "malignant"))
    assert (region.score is not None) == cut


def test_a_region_larger_than_a_tile_is_shown_where_it_covers_a_quarter() -> None:
    (region,) = found(label(-400, 0, 450, "malignancy", "malignant"))
    assert region.score == pytest.approx(0.9)


def test_a_point_has_no_area_and_is_found_all_the_same() -> None:
    point = label(50, 50, 0, "malignancy", "malignant")
    assert point.geometry.area == 0
    assert found(point)[0].score == pytest.approx(0.9)


def test_another_head_takes_its_own_columns() -> None:
    (region,) = found(label(240, 40, 20, "morphology", "large_cell"))
    assert region.scores == pytest.approx((0.7, 0.3))
    assert region.target == (0.0, 1.0)


def test_a_label_that_trains_nothing_is_no_region() -> None:
    assert found(label(40, 40, 20, "malignancy", "unsure")) == ()


def test_two_readers_label_one_region_by_their_mean() -> None:
    regions = found(
        label(40, 40, 20, "malignancy", "malignant", "a"), label(41, 40, 20, "malignancy", "benign", "b")
    )
    assert [own.target for own in regions] == [(0.5, 0.5)]
