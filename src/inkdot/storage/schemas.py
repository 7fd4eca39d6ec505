"""Columns and versions of the tables between stages. Column names state frame and unit.

Tests compare them with golden files. Any change of a column needs a new version, so that an older program refuses a newer
file instead of misreading it.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from inkdot.labels import Head, score_columns, target_columns

TILES_VERSION: Final = "inkdot.tiles/2"
SCORES_VERSION: Final = "inkdot.scores/4"
CLUSTERS_VERSION: Final = "inkdot.clusters/4"
CLUSTER_SCORES_VERSION: Final = "inkdot.cluster_scores/2"
NUCLEI_VERSION: Final = "inkdot.nuclei/1"
EMBEDDINGS_VERSION: Final = "inkdot.embeddings/2"
MODEL_VERSION: Final = "inkdot.model/5"

_MADE_BY: Final = {
    "inkdot.tiles": "`inkdot tile` (in a results folder `inkdot predict`)",
    "inkdot.clusters": "`inkdot tile` (in a results folder `inkdot predict`)",
    "inkdot.scores": "`inkdot predict`",
    "inkdot.cluster_scores": "`inkdot predict`",
    "inkdot.nuclei": "`inkdot predict`",
    "inkdot.embeddings": "`inkdot embed` (in a results folder `inkdot predict --embeddings`)",
    "inkdot.truth": "`inkdot synth`",
}


def made_by(version: str) -> str:
    """The command that makes files of a schema version, for messages about missing and outdated ones."""
    return _MADE_BY.get(version.split("/")[0], "the command that made it")


TILE_GEOMETRY: Final = ("x_l0_px", "y_l0_px", "cluster_id", "foreground_fraction", "edge_um")
"""Position and content of a tile: the first columns of both tiles and scores."""

MEASURES: Final = (
    "diameter_median_um",
    "diameter_spread",
    "aspect_median",
    "mean_od",
    "texture_median",
    "nucleolus_score_median",
    "nucleolus_fraction",
    "nc_diameter_ratio_median",
    "moulding_index",
    "diameter_ratio",
    "hyperchromasia",
)
"""Measurements of the nuclei of a cluster, defined in :class:`inkdot.morphometry.ClusterMeasurement`."""

_TILE_GEOMETRY_FIELDS: Final = (
    pa.field("x_l0_px", pa.int32(), nullable=False),
    pa.field("y_l0_px", pa.int32(), nullable=False),
    pa.field("cluster_id", pa.int32()),
    pa.field("foreground_fraction", pa.float32(), nullable=False),
    pa.field("edge_um", pa.float32()),
)


def tiles_schema(heads: Sequence[Head]) -> pa.Schema:
    """``tiles/<slide_id>.parquet``: one row per tile, sorted by y then x.

    x_l0_px, y_l0_px: top left corner in level-0 pixels. cluster_id: the cluster on which the tile is centred (it may show
    others too, see ``tile_rows`` of the clusters); null in mode grid. foreground_fraction: 0 to 1. edge_um: focus, as sigma
    in µm of the sharpest edge of a nucleus; smaller is sharper, null where not measured. target.<head>.<class>: training
    target, 0 to 1, null where unknown.
    """
    return pa.schema(
        [*_TILE_GEOMETRY_FIELDS, *(pa.field(name, pa.float32()) for name in target_columns(heads))]
    )


def scores_schema(heads: Sequence[Head], *, ensemble: bool = False) -> pa.Schema:
    """``scores/<slide_id>.parquet``: the rows of ``tiles/<slide_id>.parquet`` in their order.

    attention: weight (0 to 1) of the tile in its slide's bag; the weights of a slide sum to 1; null where the model has no
    attention head. ood_distance: out-of-distribution distance of its embedding from those of training tiles, in units of
    the distance between training tiles of different slides; null where the model has no OOD reference.
    p.<head>.<class>: calibrated probability, 0 to 1; of an ensemble the mean over its members. spread, of an ensemble alone:
    standard deviation over the members of the flag class's probability.
    """
    return pa.schema(
        [
            *_TILE_GEOMETRY_FIELDS,
            pa.field("attention", pa.float32()),
            pa.field("ood_distance", pa.float32()),
            *(pa.field(name, pa.float32(), nullable=False) for name in score_columns(heads)),
            *([pa.field("spread", pa.float32(), nullable=False)] if ensemble else []),
        ]
    )


def clusters_schema() -> pa.Schema:
    """``clusters/<slide_id>.parquet``: one row per cluster of nuclei or single nucleus, sorted by y then x.

    cluster_id: 0, 1, 2 … in that order. x_l0_px, y_l0_px, width_l0_px, height_l0_px: bounding box in level-0 pixels.
    geometry: outline, WKT POLYGON in level-0 pixels. nuclei: estimated number. group_nuclei: those of the whole
    group that it is a field of, its own where it is no part of a larger one. nuclear_area_um2: area of all its nuclei.
    nucleus_um: diameter of the largest nucleus. nuclear_od: optical density in the lighter of red and green. edge_um: sigma
    in µm of its sharpest edge. in_focus: whether that is sharp enough to be assessed. not_tiled: why it has no tile, empty
    where it has. tile_rows: rows of the tile table that show all of it, or parts of it where none does. measured_nuclei and
    the columns of :data:`MEASURES`: nuclei outlined at full scale; null where not measured.
    """
    return pa.schema(
        [
            pa.field("cluster_id", pa.int32(), nullable=False),
            *(
                pa.field(f"{name}_l0_px", pa.int32(), nullable=False)
                for name in ("x", "y", "width", "height")
            ),
            pa.field("geometry", pa.string(), nullable=False),
            pa.field("nuclei", pa.int32(), nullable=False),
            pa.field("group_nuclei", pa.int32(), nullable=False),
            *(
                pa.field(name, pa.float32(), nullable=False)
                for name in ("nuclear_area_um2", "nucleus_um", "nuclear_od", "edge_um")
            ),
            pa.field("in_focus", pa.bool_(), nullable=False),
            pa.field("not_tiled", pa.string(), nullable=False),
            pa.field("tile_rows", pa.list_(pa.field("element", pa.int32(), nullable=False)), nullable=False),
            pa.field("measured_nuclei", pa.int32()),
            *(pa.field(name, pa.float32()) for name in MEASURES),
        ]
    )


def cluster_scores_schema(heads: Sequence[Head]) -> pa.Schema:
    """``cluster_scores/<slide_id>.parquet``: the rows of ``clusters/<slide_id>.parquet``, in their order.

    cluster_id and geometry: as there. centre_x_l0_px, centre_y_l0_px: centre of the bounding box in level-0 pixels. tiles:
    number of tiles that its score is pooled from, or 0. top_tile_row: row of the tile with the highest score of the flag
    class, null without tiles. attention: weight (0 to 1) of the cluster in its slide's bag; the weights of a slide sum to 1;
    null where the model has no attention head. p.<head>.<class>: calibrated probability, 0 to 1, null without tiles.
    """
    return pa.schema(
        [
            pa.field("cluster_id", pa.int32(), nullable=False),
            pa.field("geometry", pa.string(), nullable=False),
            pa.field("centre_x_l0_px", pa.float32(), nullable=False),
            pa.field("centre_y_l0_px", pa.float32(), nullable=False),
            pa.field("tiles", pa.int32(), nullable=False),
            pa.field("top_tile_row", pa.int32()),
            pa.field("attention", pa.float32()),
            *(pa.field(name, pa.float32()) for name in score_columns(heads)),
        ]
    )


def nuclei_schema() -> pa.Schema:
    """``nuclei/<slide_id>.parquet``: one row per outlined nucleus of a measured cluster, sorted by cluster.

    cluster_id: the cluster. geometry: outline, WKT POLYGON of at most 32 points in level-0 pixels. measured: whether it is one
    of the cluster's ``measured_nuclei``; false where the edge of the measured window cuts it, so that its size is unknown.
    """
    return pa.schema(
        [
            pa.field("cluster_id", pa.int32(), nullable=False),
            pa.field("geometry", pa.string(), nullable=False),
            pa.field("measured", pa.bool_(), nullable=False),
        ]
    )
