"""From the scored tiles of a slide to its scored clusters, the unit that a pathologist reviews."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.labels import Head, flag_column, score_columns
from inkdot.metrics.slides.pooling import Pooling, pooled
from inkdot.storage.schemas import cluster_scores_schema

IntArray = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
NullableFloats = list[float | None]


def tiles_of_clusters(clusters: pa.Table, tile_clusters: IntArray) -> list[IntArray]:
    """Per cluster, the rows of the tiles that score it.

    These are the tiles placed on it. A small cluster without its own tile lies whole in tiles of other clusters and is
    scored by these. A cluster with its own tiles is never scored by others: they are centred on its neighbours.

    Args:
        clusters: As ``schemas.clusters_schema``.
        tile_clusters: cluster_id of each tile, shape [tiles].
    """
    placed: dict[int, list[int]] = {}
    for row, cluster in enumerate(tile_clusters.tolist()):
        placed.setdefault(cluster, []).append(row)
    containing = cast("list[list[int]]", clusters.column("tile_rows").to_pylist())
    not_tiled = cast("list[str]", clusters.column("not_tiled").to_pylist())
    return [
        np.asarray(placed.get(index, rows if not reason else []), np.int64)
        for index, (rows, reason) in enumerate(zip(containing, not_tiled, strict=True))
    ]


def owners_of_tiles(tiles: pa.Table) -> IntArray:
    """The cluster_id that each tile was placed for, shape [tiles]."""
    return np.asarray(cast("list[int]", tiles.column("cluster_id").to_pylist()), np.int64)


def score_clusters(clusters: pa.Table, scores: pa.Table, heads: Sequence[Head], pooling: Pooling) -> pa.Table:
    """Score the clusters of a slide; a table of ``schemas.cluster_scores_schema``.

    Args:
        clusters: As ``schemas.clusters_schema``.
        scores: Of the slide's tiles, as ``schemas.scores_schema``.
        heads: The heads.
        pooling: How a cluster's score is pooled from those of its tiles.
    """
    names = score_columns(heads)
    of_tiles = np.stack([_numbers(scores, name) for name in names], axis=1)
    owners = owners_of_tiles(scores)
    rows = tiles_of_clusters(clusters, owners)
    cluster_values = pooled(of_tiles, rows, heads, pooling)
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
    columns |= {name: _or_null(cluster_values[:, index]) for index, name in enumerate(names)}
    return pa.Table.from_pydict(columns, schema=cluster_scores_schema(heads))


def _attention(scores: pa.Table, owners: IntArray, clusters: int) -> NullableFloats:
    """Weight of each cluster: the sum over its own tiles, so that the slide's weights sum to 1; null without tiles."""
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
