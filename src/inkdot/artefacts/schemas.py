"""Columns and versions of every table between stages. Names carry frame and unit."""

from collections.abc import Sequence

import pyarrow as pa

from inkdot.labels import Head, score_columns, target_columns

TILES_VERSION = "inkdot.tiles/1"
SCORES_VERSION = "inkdot.scores/1"
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
