"""Nuclei at full scale: painted discs come back at their size, and nothing is measured beyond the budget."""

import cv2
import numpy as np
import pyarrow as pa
import pytest

from inkdot.config import MorphometryConfig, TilingConfig
from inkdot.pipeline.measure_slide import measure_slide_clusters, measurement_facts
from inkdot.records import Mpp
from inkdot.slides.array_slide import ArraySlide
from inkdot.tiling.clusters.cluster_table import cluster_table
from inkdot.tiling.clusters.find_objects import find_objects
from inkdot.tiling.clusters.group_objects import find_clusters
from inkdot.tiling.clusters.place_tiles import place_tiles
from inkdot.tiling.foreground.find_foreground import find_foreground

MPP = 0.5
GLASS = np.array([243.0, 241.0, 238.0])
HAEMATOXYLIN = np.array([0.651, 0.701, 0.290])
LYMPHOCYTE_UM, TUMOUR_UM = 7.0, 14.0


def painted(lymphocytes: int) -> ArraySlide:
    """Lone nuclei of 7 µm in rows, and one cluster of four nuclei of 14 µm."""
    side = 1300
    amount = np.zeros((side, side), np.float32)
    regions = [(x, y) for y in range(60, 420, 60) for x in range(60, 600, 60)][:lymphocytes]
    for x, y in regions:
        cv2.circle(amount, (round(x / MPP), round(y / MPP)), round(LYMPHOCYTE_UM / 2 / MPP), 1.0, -1)
    for x, y in ((500, 560), (516, 560), (500, 576), (516, 576)):
        cv2.circle(amount, (round(x / MPP), round(y / MPP)), round(TUMOUR_UM / 2 / MPP), 0.8, -1)
    amount = cv2.GaussianBlur(amount, (0, 0), 0.6)
    noise = np.random.default_rng(0).normal(0.0, 1.5, (side, side, 3))
    rgb = GLASS * 10.0 ** (-amount[..., None] * HAEMATOXYLIN) + noise
    return ArraySlide(np.clip(np.rint(rgb), 0, 255).astype(np.uint8), Mpp.square(MPP))


def found(slide: ArraySlide) -> pa.Table:
    tiling = TilingConfig(mode="clusters", mpp=MPP, side_px=128, stride_px=128)
    info, spec = slide.info, tiling.spec
    objects = find_objects(slide, find_foreground(slide, tiling), tiling).objects
    clusters = find_clusters(objects, tiling)
    placement = place_tiles(info, tiling, clusters)
    return cluster_table(info, spec, clusters, placement)


def of_cluster(table: pa.Table) -> dict[str, object]:
    (row,) = [row for row in table.to_pylist() if row["nuclei"] >= 3]
    return row


def test_the_nuclei_of_a_cluster_and_their_ratio_to_the_lymphocytes_of_the_slide() -> None:
    slide = painted(lymphocytes=30)
    clusters = found(slide)
    number = of_cluster(clusters)["cluster_id"]
    measured = measure_slide_clusters(slide, clusters, [number], MorphometryConfig())
    row = of_cluster(measured.table)
    assert row["measured_nuclei"] == 4
    assert row["diameter_median_um"] == pytest.approx(TUMOUR_UM, rel=0.05)
    assert row["diameter_ratio"] == pytest.approx(TUMOUR_UM / LYMPHOCYTE_UM, rel=0.05)
    assert measured.facts["lymphocyte_reference"]["lymphocytes"] == 30
    assert measured.facts["lymphocyte_reference"]["diameter_um"] == pytest.approx(LYMPHOCYTE_UM, rel=0.05)
    assert measured.warnings == []
    others = [row for row in measured.table.to_pylist() if row["cluster_id"] != number]
    assert {row["measured_nuclei"] for row in others} == {None}


def test_too_few_lymphocytes_are_no_reference_and_give_a_warning() -> None:
    slide = painted(lymphocytes=19)
    clusters = found(slide)
    number = of_cluster(clusters)["cluster_id"]
    measured = measure_slide_clusters(slide, clusters, [number], MorphometryConfig())
    row = of_cluster(measured.table)
    assert row["diameter_median_um"] == pytest.approx(TUMOUR_UM, rel=0.05)
    assert row["diameter_ratio"] is None
    (warning,) = measured.warnings
    assert warning.startswith("lymphocyte reference unavailable: 19 resting lymphocytes, 20 needed")


def test_single_nuclei_cut_off_a_sheet_are_no_reference() -> None:
    slide = painted(lymphocytes=30)
    clusters = found(slide)
    column = clusters.column_names.index("group_nuclei")
    of_sheets = pa.array([40] * len(clusters), pa.int32())
    cut_off = clusters.set_column(column, clusters.schema.field(column), of_sheets)
    counts = [
        measure_slide_clusters(slide, table, [], MorphometryConfig()).facts["measured"]["reference_nuclei"]
        for table in (clusters, cut_off)
    ]
    assert counts == [30, 0]


def test_the_budget_is_kept_and_said() -> None:
    slide = painted(lymphocytes=25)
    clusters = found(slide)
    order = list(range(len(clusters)))
    measured = measure_slide_clusters(
        slide, clusters, order, MorphometryConfig(clusters=2, reference_cells=20)
    )
    counts = measured.table.column("measured_nuclei").to_pylist()
    assert sum(count is not None for count in counts) == 2
    assert measured.facts["measured"] == {
        "clusters": 2,
        "beyond_budget": len(clusters) - 2,
        "reference_nuclei": 20,
    }
    assert measurement_facts(measured.facts) == measured.facts
    assert measurement_facts({}) is None
