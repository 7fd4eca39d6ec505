from inkdot.config import TilingConfig
from inkdot.tiling.clusters.not_tiled import NotTiled, not_looked_at

TILING = TilingConfig(max_tiles=300, lone_nucleus_um=7.2)


def test_both_reasons_are_counted_in_one_sentence():
    counts = {NotTiled.SMALL.value: 4, NotTiled.BUDGET.value: 12, NotTiled.TILED.value: 600}
    assert not_looked_at(counts, 616, TILING) == (
        "16 of 616 clusters and lone cells were not looked at: 12 beyond tiling.max_tiles (300), "
        "4 one or two small nuclei (below tiling.lone_nucleus_um, 7.2 µm)"
    )


def test_where_every_cluster_is_in_a_tile_nothing_is_said():
    assert not_looked_at({NotTiled.SMALL.value: 0, NotTiled.BUDGET.value: 0}, 40, TILING) == ""
