"""Which tiles speak for which cluster, and what becomes of their scores."""

import numpy as np
import pyarrow as pa
import pytest

from inkdot.labels import DEFAULT_HEADS
from inkdot.pipeline.results.cluster_scoring import score_clusters, tiles_of_clusters
from inkdot.storage.schemas import MEASURES, clusters_schema, scores_schema


def clusters(*, unseen: list[str], tile_rows: list[list[int]]) -> pa.Table:
    count = len(unseen)
    columns = {
        "cluster_id": list(range(count)),
        "x_l0_px": [100 * i for i in range(count)],
        "y_l0_px": [10] * count,
        "width_l0_px": [50] * count,
        "height_l0_px": [20] * count,
        "geometry": [f"POLYGON ((0 0, {i + 1} 0, 0 1, 0 0))" for i in range(count)],
        "nuclei": [3] * count,
        "group_nuclei": [3] * count,
        **dict.fromkeys(("nuclear_area_um2", "nucleus_um", "nuclear_od", "edge_um"), [1.0] * count),
        "in_focus": [True] * count,
        "not_tiled": unseen,
        "tile_rows": tile_rows,
        **dict.fromkeys(("measured_nuclei", *MEASURES), [None] * count),
    }
    return pa.Table.from_pydict(columns, schema=clusters_schema())


def tiles(owners: list[int], flags: list[float], attention: list[float] | None = None) -> pa.Table:
    flag = np.asarray(flags)
    columns = {
        "x_l0_px": list(range(len(owners))),
        "y_l0_px": [0] * len(owners),
        "cluster_id": owners,
        "foreground_fraction": [0.5] * len(owners),
        "edge_um": [1.0] * len(owners),
        "attention": attention or [None] * len(owners),
        "ood_distance": [None] * len(owners),
        "p.malignancy.benign": 1 - flag,
        "p.malignancy.malignant": flag,
        "p.morphology.small_cell": flag,
        "p.morphology.large_cell": 1 - flag,
    }
    return pa.Table.from_pydict(columns, schema=scores_schema(DEFAULT_HEADS))


# Cluster 0 is large, with two tiles; 1 has its own and is shown by a neighbour's too; 2 lies in the tile of 1;
# 3 was too small to look at, though a tile happens to show it.
FOUND = clusters(unseen=["", "", "", "one or two small nuclei"], tile_rows=[[0, 1], [1, 2], [2], [2]])
OWNERS = [0, 0, 1]


def test_a_cluster_is_judged_by_its_own_tiles_and_a_passenger_by_those_that_show_it() -> None:
    rows = tiles_of_clusters(FOUND, np.array(OWNERS))
    assert [own.tolist() for own in rows] == [[0, 1], [2], [2], []]


def test_scores_of_clusters() -> None:
    table = score_clusters(FOUND, tiles(OWNERS, [0.2, 0.9, 0.4]), DEFAULT_HEADS, "max")
    assert table.column("tiles").to_pylist() == [2, 1, 1, 0]
    assert table.column("top_tile_row").to_pylist() == [1, 2, 2, None]
    flags = table.column("p.malignancy.malignant").to_pylist()
    assert flags[:3] == pytest.approx([0.9, 0.4, 0.4])
    assert flags[3] is None
    assert table.column("p.morphology.small_cell").to_pylist()[0] == pytest.approx(0.9)
    assert table.column("centre_x_l0_px").to_pylist() == [25, 125, 225, 325]
    assert table.column("centre_y_l0_px").to_pylist() == [20] * 4
    assert table.column("geometry").to_pylist() == FOUND.column("geometry").to_pylist()
    assert table.column("attention").to_pylist() == [None] * 4


def test_attention_of_a_slide_sums_to_one_over_the_clusters_with_tiles() -> None:
    table = score_clusters(FOUND, tiles(OWNERS, [0.2, 0.9, 0.4], [0.5, 0.3, 0.2]), DEFAULT_HEADS, "max")
    assert table.column("attention").to_pylist() == [pytest.approx(0.8), pytest.approx(0.2), None, None]
