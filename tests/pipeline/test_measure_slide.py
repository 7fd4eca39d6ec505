"""Nuclei at full scale: painted discs come back at their size, and nothing is measured beyond the budget."""

import cv2
import numpy as np
import pyarrow as pa
import pytest
import shapely

from inkdot.config import MorphometryConfig, TilingConfig
from inkdot.pipeline.measure_slide import measure_slide_clusters, measurement_facts
from inkdot.records import Mpp
from inkdot.slides.array_slide import ArraySlide
from inkdot.storage.schemas import clusters_schema
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


def test_the_outlines_lie_on_the_nuclei_and_have_their_measured_area() -> None:
    slide = painted(lymphocytes=30)
    clusters = found(slide)
    number = of_cluster(clusters)["cluster_id"]
    measured = measure_slide_clusters(slide, clusters, [number], MorphometryConfig())
    rows = measured.nuclei.to_pylist()
    assert [(row["cluster_id"], row["measured"]) for row in rows] == [(number, True)] * 4
    rings = [shapely.from_wkt(row["geometry"]) for row in rows]
    centres = [shapely.Point(x / MPP + 0.5, y / MPP + 0.5) for x in (500, 516) for y in (560, 576)]
    nearest = [min(ring.centroid.distance(centre) for centre in centres) for ring in rings]
    assert max(nearest) < 1.0  # pixels of 0.5 µm
    diameters = [2 * MPP * (ring.area / np.pi) ** 0.5 for ring in rings]
    assert np.median(diameters) == pytest.approx(of_cluster(measured.table)["diameter_median_um"], rel=0.01)


def test_nuclei_cut_by_the_edge_of_what_is_read_are_outlined_and_not_measured() -> None:
    """A sheet wider than the 192 µm that are read of it, with nuclei across both edges."""
    side = 1300
    amount = np.zeros((side, side), np.float32)
    for x in range(122, side - 100, 48):  # one on each edge of the window
        cv2.circle(amount, (x, 650), 14, 0.8, -1)
    amount = cv2.GaussianBlur(amount, (0, 0), 0.6)
    rgb = np.rint(GLASS * 10.0 ** (-amount[..., None] * HAEMATOXYLIN)).astype(np.uint8)
    slide = ArraySlide(rgb, Mpp.square(MPP))
    row = dict.fromkeys(clusters_schema().names) | {
        "cluster_id": 0, "x_l0_px": 100, "y_l0_px": 600, "width_l0_px": 1100, "height_l0_px": 100,
        "geometry": shapely.box(100, 600, 1200, 700).wkt, "nuclei": 23, "group_nuclei": 23, "nuclear_area_um2": 3000.0,
        "nucleus_um": 14.0, "nuclear_od": 0.5, "edge_um": 0.3, "in_focus": True, "not_tiled": "", "tile_rows": [0],
    }  # fmt: skip
    clusters = pa.Table.from_pylist([row], schema=clusters_schema())
    measured = measure_slide_clusters(slide, clusters, [0], MorphometryConfig())
    nuclei = measured.nuclei.to_pylist()
    boxes = [shapely.from_wkt(one["geometry"]).bounds for one in nuclei]
    at_edge = [box[0] <= 458.5 or box[2] >= 841.5 for box in boxes]  # 192 µm round x = 650
    assert [not one["measured"] for one in nuclei] == at_edge
    assert sum(at_edge) == 2
    assert measured.table.column("measured_nuclei").to_pylist() == [len(nuclei) - 2]
