import numpy as np
import pytest
import shapely

from inkdot.config import TilingConfig
from inkdot.geometry import scanned_bounds
from inkdot.records import Mpp
from inkdot.slides.array_slide import ArraySlide
from inkdot.tiling.clusters.cluster_table import cluster_table
from inkdot.tiling.clusters.find_objects import NuclearObject
from inkdot.tiling.clusters.group_objects import MARGIN_UM, Cluster, find_clusters, group_objects
from inkdot.tiling.clusters.not_tiled import NotTiled
from inkdot.tiling.clusters.place_tiles import place_tiles

SLIDE = ArraySlide(np.zeros((2000, 3000, 3), np.uint8), Mpp(0.5, 0.52))
TILING = TilingConfig(mode="clusters", side_px=128, mpp=0.5, stride_px=64)  # 64 µm
FIELD_UM = 64.0 - 2.0 * MARGIN_UM


def disc(x: float, y: float, diameter: float = 10.0, nuclei: int = 1) -> NuclearObject:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.column_stack([x + diameter / 2 * np.cos(angle), y + diameter / 2 * np.sin(angle)])
    return NuclearObject(ring, float(np.pi * diameter**2 / 4), diameter, nuclei, 0.5, 1.1)


def lone(x: float, y: float, diameter: float = 10.0) -> Cluster:
    return group_objects([disc(x, y, diameter)], 12.0)[0]


def strip(x: float, y: float, count: int) -> Cluster:
    """A chain of touching nuclei from left to right."""
    return group_objects([disc(x + 10 * i, y) for i in range(count)], 12.0)[0]


def placed(clusters: list[Cluster], max_tiles: int = 100, *, fields: bool = True):
    changes = {"max_tiles": max_tiles, "lone_nucleus_um": 8.0, "fields": fields}
    return place_tiles(SLIDE.info, TILING.model_copy(update=changes), clusters)


def boxes_um(placement) -> np.ndarray:
    left, top = placement.x_l0_px * 0.5, placement.y_l0_px * 0.52
    return np.column_stack([left, top, left + 64, top + 64])


def test_objects_within_the_distance_are_one_cluster_through_others_too():
    # Edges 10 µm apart, then 10, then 14.
    clusters = group_objects([disc(100, 100), disc(120, 100), disc(140, 100), disc(164, 100)], 12.0)
    assert [cluster.nuclei for cluster in clusters] == [3, 1]
    assert clusters[0].box_um == pytest.approx((94.5, 94.5, 145.5, 105.5), abs=0.2)
    assert clusters[0].area_um2 == pytest.approx(3 * np.pi * 25)
    assert clusters[0].nucleus_um == pytest.approx(10.0)


def test_the_outline_is_one_polygon_round_all_nuclei():
    things = [disc(100, 100), disc(118, 104), disc(110, 118)]
    (cluster,) = group_objects(things, 12.0)
    assert cluster.outline_um.geom_type == "Polygon"
    assert cluster.outline_um.is_valid
    for thing in things:
        assert cluster.outline_um.buffer(0.3).contains(shapely.Polygon(thing.outline_um))
    assert (
        cluster.outline_um.area
        < 1.6 * shapely.union_all([shapely.Polygon(t.outline_um) for t in things]).convex_hull.area
    )


def test_clusters_do_not_depend_on_the_order_of_objects():
    rng = np.random.default_rng(2)
    things = [disc(*place) for place in rng.uniform(20, 700, (150, 2))]
    expected = [(cluster.box_um, cluster.nuclei) for cluster in group_objects(things, 12.0)]
    shuffled = [things[i] for i in rng.permutation(len(things))]
    assert [(cluster.box_um, cluster.nuclei) for cluster in group_objects(shuffled, 12.0)] == expected


def crowd(across: int, down: int, step: float = 14.0) -> list[NuclearObject]:
    """Nuclei of 10 µm in rows and columns, not quite regular."""
    rng = np.random.default_rng(4)
    return [
        disc(100 + step * i + dx, 100 + step * j + dy)
        for i in range(across)
        for j in range(down)
        for dx, dy in [rng.uniform(-1.5, 1.5, 2)]
    ]


def test_a_crowd_is_cut_into_fields_that_fit_a_tile_and_hold_each_nucleus_once():
    things = crowd(20, 12)
    assert len(group_objects(things, 12.0)) == 1
    fields = find_clusters(things, TILING)
    assert sum(field.nuclei for field in fields) == 240
    assert {field.group_nuclei for field in fields} == {240}
    for field in fields:
        left, top, right, bottom = field.box_um
        assert max(right - left, bottom - top) <= FIELD_UM
    # Nine nuclei fit a field of 56 µm in rows of three; a cut that left single nuclei would make more of them.
    assert len(fields) <= 240 / 5
    placement = placed(fields)
    assert np.bincount(placement.cluster).max() == 1
    assert set(placement.not_tiled) == {NotTiled.TILED}


def test_groups_that_fit_a_field_stay_as_they_are():
    things = [disc(100 + 15 * i, 100) for i in range(4)]  # 55 µm wide
    (field,) = find_clusters(things, TILING)
    assert (field.nuclei, field.group_nuclei) == (4, 4)
    assert len(find_clusters([*things, disc(160, 100)], TILING)) == 2


def test_what_lies_closer_together_than_to_anything_else_is_never_cut():
    rng = np.random.default_rng(7)
    tight = [(0.0, 0.0), (11.0, 0.0), (0.0, 11.0), (11.0, 11.0), (22.0, 5.0)]
    corners = [(100.0 + 45 * i + rng.uniform(0, 3), 100.0 + 36 * j) for i in range(6) for j in range(5)]
    things = [disc(x + dx, y + dy) for x, y in corners for dx, dy in tight]
    assert len(group_objects(things, 18.0)) == 1
    fields = group_objects(things, 18.0, FIELD_UM)
    for x, y in corners:
        holding = [
            field for field in fields if field.outline_um.intersects(shapely.box(x, y, x + 22, y + 11))
        ]
        assert len(holding) == 1
    assert all(field.nuclei % len(tight) == 0 for field in fields)


def test_closeness_is_from_edge_to_edge_not_from_middle_to_middle():
    # Pairs of large nuclei 1 µm apart; between the pairs a small nucleus 4 µm from both, whose middle is nearer.
    things = [
        disc(100 + 51 * i + dx, 100, diameter)
        for i in range(6)
        for dx, diameter in ((0, 18.0), (19, 18.0), (35, 6.0))
    ]
    assert len(group_objects(things, 12.0)) == 1
    fields = find_clusters(things, TILING)
    for i in range(6):
        pair = shapely.box(95 + 51 * i, 95, 124 + 51 * i, 105)
        assert sum(field.outline_um.intersects(pair) for field in fields) == 1


def test_fields_do_not_depend_on_the_order_of_objects():
    things = crowd(12, 9)
    expected = [(field.box_um, field.nuclei) for field in find_clusters(things, TILING)]
    shuffled = [things[i] for i in np.random.default_rng(3).permutation(len(things))]
    assert [(field.box_um, field.nuclei) for field in find_clusters(shuffled, TILING)] == expected


def test_an_object_larger_than_a_field_stays_whole_with_several_tiles():
    fibre = NuclearObject(
        np.array([[100.0, 100], [400, 140], [400, 146], [100, 106]]), 1800, 48.0, 12, 0.4, 1.2
    )
    clusters = find_clusters([fibre, disc(404, 160), disc(416, 160)], TILING)
    assert sorted(cluster.nuclei for cluster in clusters) == [2, 12]
    placement = placed(clusters)
    (whole,) = [number for number, cluster in enumerate(clusters) if cluster.nuclei == 12]
    assert 5 <= (placement.cluster == whole).sum() <= 12


def test_small_nuclei_at_the_edge_of_a_sheet_are_looked_at():
    pair = [disc(100 + 13 * i, 100, 7.0) for i in range(6)]
    fields = find_clusters(pair, TILING)
    assert sorted(field.nuclei for field in fields) == [2, 4]
    assert set(placed(fields).not_tiled) == {NotTiled.TILED}


def test_models_from_before_fields_keep_whole_groups():
    (group,) = find_clusters(crowd(20, 12), TILING.model_copy(update={"fields": False}))
    assert (group.nuclei, group.group_nuclei) == (240, 240)


def test_a_small_cluster_is_in_the_middle_of_its_tile():
    placement = placed([strip(500, 400, 4)])
    (box,) = boxes_um(placement)
    assert (box[:2] + box[2:]) / 2 == pytest.approx((515, 400), abs=0.5)


def test_a_large_cluster_gets_tiles_that_together_show_all_of_it():
    cluster = strip(300, 400, 24)
    placement = placed([cluster])
    tiles = shapely.union_all([shapely.box(*box) for box in boxes_um(placement)])
    assert tiles.buffer(0.6).contains(cluster.outline_um)
    assert len(placement.x_l0_px) == 5  # 241 µm and margins, in steps of 48 µm at most
    assert np.diff(np.sort(placement.x_l0_px)).max() <= 0.75 * 128 + 1


def test_a_slanting_fibre_gets_no_tiles_on_the_glass_beside_it():
    (fibre,) = group_objects([disc(300 + 7 * i, 300 + 7 * i) for i in range(40)], 12.0)
    placement = placed([fibre])
    tiles = [shapely.box(*box) for box in boxes_um(placement)]
    assert all(tile.buffer(0.6).intersects(fibre.outline_um) for tile in tiles)
    assert shapely.union_all(tiles).buffer(0.6).contains(fibre.outline_um)
    assert len(tiles) < 20  # its box would take 36


def test_what_is_whole_in_anothers_tile_needs_none_of_its_own():
    placement = placed([strip(500, 400, 3), lone(530, 405), lone(560, 400)])
    assert len(placement.x_l0_px) == 2  # the second lies in the first's tile, the third does not
    assert placement.not_tiled == (NotTiled.TILED, NotTiled.TILED, NotTiled.TILED)


def test_one_or_two_small_nuclei_get_no_tile_and_say_so():
    pair = group_objects([disc(300, 300, 7.0), disc(310, 300, 7.0)], 12.0)[0]
    three = group_objects([disc(500 + 8 * i, 300, 7.0) for i in range(3)], 12.0)[0]
    placement = placed([lone(100, 100, 7.0), pair, three, lone(700, 700, 9.0)])
    assert placement.not_tiled == (NotTiled.SMALL, NotTiled.SMALL, NotTiled.TILED, NotTiled.TILED)
    assert placement.cluster.tolist() == [2, 3]


def test_the_budget_goes_by_turns_to_the_most_nuclei_and_to_the_largest_and_the_rest_is_named():
    clusters = [
        strip(100, 100, 5),
        strip(300, 300, 4),
        lone(600, 100, 15.0),
        strip(300, 600, 3),
        lone(100, 800, 12.0),
    ]
    placement = placed(clusters, max_tiles=4)
    assert set(placement.cluster.tolist()) == {0, 1, 2, 4}
    assert placement.not_tiled[3] == NotTiled.BUDGET
    assert set(placed(clusters, max_tiles=4, fields=False).cluster.tolist()) == {0, 1, 2, 3}


def test_without_fields_the_budget_goes_to_the_most_nuclei_then_the_largest():
    clusters = [
        lone(100, 100, 9.0),
        strip(300, 300, 3),
        lone(600, 100, 15.0),
        strip(300, 600, 5),
        lone(100, 800, 12.0),
    ]
    placement = placed(clusters, max_tiles=3, fields=False)
    assert set(placement.cluster.tolist()) == {1, 2, 3}
    assert placement.not_tiled == (
        NotTiled.BUDGET,
        NotTiled.TILED,
        NotTiled.TILED,
        NotTiled.TILED,
        NotTiled.BUDGET,
    )


def test_tiles_stay_on_the_slide_and_are_sorted():
    placement = placed([lone(3, 3), lone(1496, 1036), lone(1496, 4), lone(700, 3)])
    bounds = scanned_bounds(SLIDE.info)
    assert placement.x_l0_px.min() >= 0
    assert placement.y_l0_px.min() >= 0
    assert placement.x_l0_px.max() + 128 <= bounds.width_l0_px + 1
    assert placement.y_l0_px.max() + 64 / 0.52 <= bounds.height_l0_px + 1
    places = list(zip(placement.y_l0_px.tolist(), placement.x_l0_px.tolist(), strict=True))
    assert places == sorted(places)


def test_the_table_tells_clusters_in_level_0_pixels_and_which_tiles_show_them():
    clusters = [lone(100, 100, 7.0), strip(500, 400, 4), strip(300, 700, 24)]
    placement = placed(clusters)
    rows = cluster_table(SLIDE.info, TILING.spec, clusters, placement).to_pylist()
    assert [row["cluster_id"] for row in rows] == [0, 1, 2]
    assert [row["not_tiled"] for row in rows] == [NotTiled.SMALL.value, "", ""]
    assert [row["nuclei"] for row in rows] == [1, 4, 24]
    first = rows[1]
    assert (first["x_l0_px"], first["y_l0_px"]) == (int(494.5 / 0.5), int(394.5 / 0.52))
    left, top, right, bottom = shapely.from_wkt(first["geometry"]).bounds
    assert (left, top) == pytest.approx((494.5 / 0.5, 394.5 / 0.52), abs=1.0)
    assert (right, bottom) == pytest.approx((535.5 / 0.5, 405.5 / 0.52), abs=1.0)
    assert rows[0]["tile_rows"] == []
    assert first["tile_rows"] == [0]
    assert rows[2]["tile_rows"] == [1, 2, 3, 4, 5]


def test_no_objects_no_clusters():
    assert group_objects([], 12.0) == []
    placement = placed([])
    assert placement.x_l0_px.shape == (0,)
    assert cluster_table(SLIDE.info, TILING.spec, [], placement).num_rows == 0
