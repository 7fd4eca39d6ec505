"""From the scored tiles of a slide to its scored clusters, the unit a pathologist judges."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.labels import Head, score_columns
from inkdot.metrics.pooling import Pooling, flag_column, pooled
from inkdot.storage.schemas import cluster_scores_schema

IntArray = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
NullableFloats = list[float | None]


def tiles_of_clusters(clusters: pa.Table, tile_clusters: IntArray) -> list[IntArray]:
    """Per cluster, the rows of the tiles that speak for it.

    Those placed for it; a small cluster without one of its own lies whole in others' tiles, and takes these. Others'
    tiles never speak for a cluster that has its own: they were placed for what is beside it.

    Args:
        clusters: As ``schemas.clusters_schema``.
        tile_clusters: cluster_id of each tile, shape [tiles].
    """
    placed: dict[int, list[int]] = {}
    for row, cluster in enumerate(tile_clusters.tolist()):
        placed.setdefault(cluster, []).append(row)
    shown = cast("list[list[int]]", clusters.column("tile_rows").to_pylist())
    unseen = cast("list[str]", clusters.column("unseen").to_pylist())
    return [
        np.asarray(placed.get(index, rows if not reason else []), np.int64)
        for index, (rows, reason) in enumerate(zip(shown, unseen, strict=True))
    ]


def owners_of_tiles(tiles: pa.Table) -> IntArray:
    """The cluster_id that each tile was placed for, shape [tiles]."""
    return np.asarray(cast("list[int]", tiles.column("cluster_id").to_pylist()), np.int64)


def score_clusters(clusters: pa.Table, scores: pa.Table, heads: Sequence[Head], how: Pooling) -> pa.Table:
    """The table of ``schemas.cluster_scores_schema``.

    Args:
        clusters: As ``schemas.clusters_schema``.
        scores: Of the slide's tiles, as ``schemas.scores_schema``.
        heads: The heads.
        how: How a cluster's score is made from those of its tiles.
    """
    names = score_columns(heads)
    of_tiles = np.stack([_numbers(scores, name) for name in names], axis=1)
    owners = owners_of_tiles(scores)
    rows = tiles_of_clusters(clusters, owners)
    found = pooled(of_tiles, rows, heads, how)
    flags = of_tiles[:, flag_column(heads)]
    x, y, width, height = (_numbers(clusters, f"{name}_l0_px") for name in ("x", "y", "width", "height"))
    columns: dict[str, Any] = {
        "cluster_id": clusters.column("cluster_id"),
        "geometry": clusters.column("geometry"),
        "centre_x_l0_px": x + 0.5 * width,
        "centre_y_l0_px": y + 0.5 * height,
        "tiles": [len(own) for own in rows],
        "top_tile_row": [int(own[np.argmax(flags[own])]) if len(own) else None for own in rows],
        "attention": _attention(scores, owners, len(rows)),
    }
    columns |= {name: _or_null(found[:, index]) for index, name in enumerate(names)}
    return pa.Table.from_pydict(columns, schema=cluster_scores_schema(heads))


def _attention(scores: pa.Table, owners: IntArray, clusters: int) -> NullableFloats:
    """Weight of each cluster: its own tiles' together, so that a slide's sum to 1; null without any."""
    weights = _numbers(scores, "attention")
    if not len(weights) or np.isnan(weights).all():
        return [None] * clusters
    sums = np.bincount(owners, weights=weights, minlength=clusters)
    return _or_null(np.where(np.bincount(owners, minlength=clusters) > 0, sums, np.nan))


def _or_null(values: Floats) -> NullableFloats:
    return [None if np.isnan(value) else float(value) for value in values]


def _numbers(table: pa.Table, name: str) -> Floats:
    values = cast("list[float | None]", table.column(name).to_pylist())
    return np.array([np.nan if value is None else value for value in values], np.float64)
