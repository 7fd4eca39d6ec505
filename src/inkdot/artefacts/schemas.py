"""Columns and versions of every table between stages. Names carry frame and unit."""

from collections.abc import Sequence

import pyarrow as pa

from inkdot.labels import Head, score_columns, target_columns

TILES_VERSION = "inkdot.tiles/1"
SCORES_VERSION = "inkdot.scores/1"
CLUSTERS_VERSION = "inkdot.clusters/1"
MODEL_VERSION = "inkdot.model/1"

_PLACE = (
    pa.field("x_l0_px", pa.int32(), nullable=False),
    pa.field("y_l0_px", pa.int32(), nullable=False),
    pa.field("foreground_fraction", pa.float32(), nullable=False),
)


def tiles_schema(heads: Sequence[Head]) -> pa.Schema:
    """``tiles/<slide_id>.parquet``: one row per tile, sorted by y then x.

    x_l0_px, y_l0_px: top left corner in level-0 pixels. foreground_fraction: 0 to 1.
    target.<head>.<class>: training target, 0 to 1, null where unknown.
    """
    return pa.schema([*_PLACE, *(pa.field(name, pa.float32()) for name in target_columns(heads))])


def scores_schema(heads: Sequence[Head]) -> pa.Schema:
    """``scores/<slide_id>.parquet``: the place columns of the tiles, in their order, and ``p.<head>.<class>`` (0 to 1)."""
    return pa.schema(
        [*_PLACE, *(pa.field(name, pa.float32(), nullable=False) for name in score_columns(heads))]
    )


def clusters_schema() -> pa.Schema:
    """``clusters/<slide_id>.parquet``: one row per group of nuclei or lone nucleus, sorted by y then x.

    x_l0_px, y_l0_px, width_l0_px, height_l0_px: box in level-0 pixels. place: its outline, WKT POLYGON in
    level-0 pixels. nuclei: estimated number. nuclear_area_um2. nucleus_um: diameter of its largest nucleus.
    nuclear_od: optical density in the lighter of red and green. edge_um: sigma of its sharpest edge; in_focus
    says whether that is sharp enough to be judged. unseen: why it has no tile, empty where it has.
    tile_rows: rows of the tile table that show the whole of it, or parts where none does.
    """
    return pa.schema(
        [
            pa.field("cluster_id", pa.int32(), nullable=False),
            *(
                pa.field(f"{name}_l0_px", pa.int32(), nullable=False)
                for name in ("x", "y", "width", "height")
            ),
            pa.field("place", pa.string(), nullable=False),
            pa.field("nuclei", pa.int32(), nullable=False),
            *(
                pa.field(name, pa.float32(), nullable=False)
                for name in ("nuclear_area_um2", "nucleus_um", "nuclear_od", "edge_um")
            ),
            pa.field("in_focus", pa.bool_(), nullable=False),
            pa.field("unseen", pa.string(), nullable=False),
            pa.field("tile_rows", pa.list_(pa.field("element", pa.int32(), nullable=False)), nullable=False),
        ]
    )
