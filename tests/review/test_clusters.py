"""One card per cluster: what is on it, what its image shows, and what QuPath gets."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely

from inkdot.review.gallery.fields import context_field, tile_field
from inkdot.review.gallery.gallery import GallerySettings, gallery_facts
from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.qupath_export import write_geojson
from inkdot.review.results.ranking import Ranking
from inkdot.review.results.read_results import SlideResults
from inkdot.review.results.scored_clusters import ScoredClusters, rank_clusters
from inkdot.review.results.scored_slide import ScoredSlide
from inkdot.storage.models.model_records import Interval, ReliabilityStep
from inkdot.storage.schemas import MEASURES, clusters_schema
from inkdot.storage.tables.nuclei import NucleusOutlines

MPP = 0.5
BOXES = [(100, 100, 60, 40), (1000, 200, 400, 100), (130, 150, 10, 10), (3000, 3000, 20, 20)]
REFERENCE = {"lymphocytes": 40, "diameter_um": 7.0, "mean_od": 0.5, "reason": ""}


def cluster_rows() -> pa.Table:
    rows: list[dict[str, object]] = []
    for index, (x, y, width, height) in enumerate(BOXES):
        box = shapely.box(x + 0.5, y, x + width, y + height)
        measures = dict.fromkeys(MEASURES, None) | {"diameter_median_um": 13.5, "diameter_ratio": 1.93}
        rows.append(
            {
                "cluster_id": index, "x_l0_px": x, "y_l0_px": y, "width_l0_px": width, "height_l0_px": height,
                "geometry": box.wkt, "nuclei": 4, "group_nuclei": 30,
                "nuclear_area_um2": 100.0, "nucleus_um": 12.0, "nuclear_od": 0.5,
                "edge_um": 1.0, "in_focus": index != 1, "not_tiled": "",
                "tile_rows": [[0], [1, 2], [0], [3]][index],
                "measured_nuclei": 4 if index == 0 else None,
                **(measures if index == 0 else dict.fromkeys(MEASURES, None)),
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=clusters_schema())


@pytest.fixture
def clusters(make_slide: Callable[..., ScoredSlide]) -> ScoredClusters:
    """Cluster 0 with one tile, 1 with two, 2 in the tile of 0, 3 below the operating point."""
    slide = make_slide([(80, 70), (1000, 200), (1300, 200), (2960, 2960)], [0.8, 0.6, 0.95, 0.2])
    slide = replace(slide, cluster_ids=(0, 1, 1, 3))
    flags = np.array([0.8, 0.95, 0.8, 0.2])
    scores = {
        "p.malignancy.benign": 1 - flags, "p.malignancy.malignant": flags,
        "p.morphology.small_cell": np.array([0.9, 0.6, 0.9, 0.9]),
        "p.morphology.large_cell": np.array([0.1, 0.4, 0.1, 0.1]),
    }  # fmt: skip
    own = ((0,), (2, 1), (), (3,))
    footer = {"lymphocyte_reference": REFERENCE, "measured": {"clusters": 1}}
    return ScoredClusters(slide, cluster_rows(), scores, own, (1, 0, 0, 0), flags >= 0.5, footer)


@pytest.fixture
def ranking(clusters: ScoredClusters) -> Ranking:
    return rank_clusters(clusters, 30)


def test_each_cluster_with_a_tile_of_its_own_is_one_region(
    clusters: ScoredClusters, ranking: Ranking
) -> None:
    assert [region.cluster.cluster_id for region in ranking.regions if region.cluster] == [1, 0, 3]
    assert [region.flagged for region in ranking.regions] == [True, True, False]
    assert ranking.unit == "cluster"
    assert [region.rows for region in ranking.regions] == [(2, 1), (0,), (3,)]
    assert rank_clusters(clusters, 1).more_flagged
    assert not rank_clusters(clusters, 2).more_flagged


def test_a_flagged_cluster_in_the_tile_of_another_has_a_place_on_that_card(
    clusters: ScoredClusters, ranking: Ranking
) -> None:
    # As `predictions.csv` counts them: cluster 2 is flagged and has no card of its own.
    assert (ranking.units, ranking.flagged_units) == (4, 3)
    large, small, low = (region.cluster for region in ranking.regions)
    assert large is not None
    assert small is not None
    assert low is not None
    assert (large.flagged_others, low.flagged_others) == ((), ())
    (outline,) = small.flagged_others
    assert shapely.Polygon(outline).equals(shapely.box(130.5, 150, 140, 160))
    # Shown in the image of a card, it is not missing; without that card it is.
    assert not rank_clusters(clusters, 2).more_flagged
    assert rank_clusters(clusters, 1).more_flagged


def test_the_image_shows_the_whole_cluster_with_the_cluster_in_its_middle(
    clusters: ScoredClusters, ranking: Ranking
) -> None:
    spec, mpp = clusters.slide.facts.spec, clusters.slide.facts.frame.mpp
    for region in ranking.regions:
        for field in (tile_field(region, spec, mpp), context_field(region, spec, mpp)):
            side_l0_px = field.spec.side_um / MPP
            left, top, right, bottom = region.corners_l0_px
            assert field.x_l0_px <= left
            assert right <= field.x_l0_px + side_l0_px
            assert field.x_l0_px + side_l0_px / 2 == pytest.approx((left + right) / 2, abs=1)
            assert field.y_l0_px + side_l0_px / 2 == pytest.approx((top + bottom) / 2, abs=1)
    # The large one needs more than a tile: 200 µm and a margin of 4 on either side.
    assert tile_field(ranking.regions[0], spec, mpp).spec.side_um == pytest.approx(208)
    assert tile_field(ranking.regions[1], spec, mpp).spec.side_um == pytest.approx(50)


def test_the_facts_of_a_card(clusters: ScoredClusters, ranking: Ranking) -> None:
    slide = clusters.slide
    review = SlideReview(
        "S",
        "flagged",
        0.95,
        facts=slide.facts,
        ranking=ranking,
        lymphocyte_reference=REFERENCE,
        measured_clusters=1,
    )
    facts = gallery_facts([review], GallerySettings())
    slide_facts = facts["slides"][0]
    assert slide_facts["lymphocyte_reference"] == {"lymphocytes": 40, "diameter_um": 7.0, "reason": ""}
    large, small, low = slide_facts["regions"]
    assert small["cluster"] == {
        "nuclei": 4, "measured_nuclei": 4, "measures": {"diameter_median_um": 13.5, "diameter_ratio": 1.93},
        "others": 1, "flagged_others": 1, "group_nuclei": 30, "reservations": [],
        "outlines": None,
    }  # fmt: skip
    (inner,) = small["other_rings"]
    assert np.abs(np.mean(small["ring"], axis=0) - np.mean(inner, axis=0)).max() < 0.5
    assert large["other_rings"] == []
    assert large["cluster"]["reservations"] == [
        "out of focus",
        "nuclei not measured: not among the highest scores",
    ]
    # Morphology is called for flagged regions only, and outside the abstention band.
    assert small["calls"] == {"morphology": "small-cell-like"}
    assert large["calls"] == {"morphology": "indeterminate"}
    assert low["calls"] == {}
    assert shapely.from_wkt(small["polygon"]).equals(shapely.box(100.5, 100, 160, 140))
    ring = np.array(small["ring"])
    assert ring.min() > 0.4
    assert ring.max() < 0.6
    blinded = gallery_facts([review], GallerySettings(blinded_seed=1))
    text = json.dumps(blinded["slides"])
    for word in (
        "nuclei",
        "lymphocyte_reference",
        "measures",
        "calls",
        "score",
        "reservations",
        "units",
        "other",
        "outlines",
    ):
        assert word not in text


def test_a_card_has_outlines_of_its_nuclei_in_whole_pixels_from_one_corner(clusters: ScoredClusters) -> None:
    ring = ((110.2, 105.0), (120.0, 105.4), (120.0, 116.6))
    outlined = replace(
        clusters, nuclei={row: NucleusOutlines((ring,) * 400, (ring,) * 400) for row in range(9)}
    )
    ranking = rank_clusters(outlined, 3)
    review = SlideReview("S", "flagged", 0.95, facts=outlined.slide.facts, ranking=ranking)
    _, small, _ = gallery_facts([review], GallerySettings())["slides"][0]["regions"]
    found = small["cluster"]["outlines"]
    field = context_field(ranking.regions[1], outlined.slide.facts.spec, outlined.slide.facts.frame.mpp)
    assert found["corner_l0_px"] == (field.x_l0_px, field.y_l0_px)
    points = np.reshape(found["measured"][0], (-1, 2)) + found["corner_l0_px"]
    assert np.abs(points - ring).max() <= 0.5
    assert all(isinstance(number, int) for number in found["cut"][0])
    assert (len(found["measured"]), len(found["cut"])) == (400, 100)  # at most 500 are drawn


def test_a_card_shows_the_reliability_of_its_score(clusters: ScoredClusters, ranking: Ranking) -> None:
    share = Interval(value=0.75, low=0.5, high=0.9, method="bootstrap over patients")
    facts = replace(
        clusters.slide.facts, reliability=(ReliabilityStep(low=0.8, high=0.95, regions=40, positive=share),)
    )
    review = SlideReview("S", "flagged", 0.95, facts=facts, ranking=ranking)
    large, small, low = gallery_facts([review], GallerySettings())["slides"][0]["regions"]
    assert small["reliability"] == {
        "regions": 40, "share": 0.75, "low": 0.5, "high": 0.9, "from": 0.8, "to": 0.95,
    }  # fmt: skip
    # 0.95 belongs to the next range, and without such validation scores there is no step.
    assert large["reliability"] is None
    assert low["reliability"] is None
    assert "reliability" not in json.dumps(gallery_facts([review], GallerySettings(blinded_seed=1))["slides"])


def test_the_file_for_qupath_has_outlines_and_measurements(
    clusters: ScoredClusters, ranking: Ranking, tmp_path: Path
) -> None:
    path = tmp_path / "s.geojson"
    shown = rank_clusters(clusters, 1)
    write_geojson(path, SlideResults(clusters.slide, clusters), shown)
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    assert (
        len(features) == 3
    )  # the one shown, and the other flagged ones, with a card of their own or without
    assert {feature["properties"]["classification"]["name"] for feature in features} == {"flagged"}
    measured = features[1]["properties"]["measurements"]
    assert measured["Nucleus: diameter ratio to lymphocytes"] == pytest.approx(1.93)
    assert measured["Cluster: estimated number of nuclei"] == 4
    assert measured["Probability: malignancy malignant"] == pytest.approx(0.8)
    outline = shapely.Polygon(features[1]["geometry"]["coordinates"][0])
    assert outline.equals(shapely.box(100.5, 100, 160, 140))
    ring = features[1]["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    assert shapely.LinearRing(ring).is_ccw  # in x, y: positive area
    assert len({feature["id"] for feature in features}) == 3
