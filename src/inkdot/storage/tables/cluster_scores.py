"""Scored clusters of a slide: the unit of review and evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.labels import Head, flagging_head, score_column
from inkdot.storage.models.model_records import OperatingPoint
from inkdot.storage.record_json import heads_from_json
from inkdot.storage.schemas import CLUSTER_SCORES_VERSION, cluster_scores_schema
from inkdot.storage.tables.parquet_tables import (
    check_columns,
    checked_footer,
    read_table,
    texts_of,
    write_table,
)


@dataclass(frozen=True, slots=True)
class ClusterScores:
    """``cluster_scores/<slide_id>.parquet``, read.

    Attributes:
        table: One row per cluster; columns of :func:`inkdot.storage.schemas.cluster_scores_schema`.
        heads: The heads.
        operating_points: The locked thresholds for clusters, by head.
        pooling: Pooling of tile scores to a cluster score, e.g. ``max``.
        tiles_sha256: Hash of the tile table.
        clusters_sha256: Hash of the cluster table whose rows these are.
        model_sha256: Hash of the model.
        footer: The whole footer.
    """

    table: pa.Table
    heads: tuple[Head, ...]
    operating_points: Mapping[str, OperatingPoint]
    pooling: str
    tiles_sha256: str
    clusters_sha256: str
    model_sha256: str
    footer: Mapping[str, object]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings that go with every output: those of the tile scores and of the measurements."""
        return tuple(cast("list[str]", self.footer["warnings"]))

    def probabilities(self, head: str, class_name: str) -> npt.NDArray[np.float64]:
        """Probability (0 to 1) of a class per cluster, NaN where it has no tile, shape [clusters]."""
        return self._numbers(score_column(head, class_name))

    def top_tile(self, row: int) -> int:
        """Row of the tile with the highest score of a cluster (a row of the table) that has tiles."""
        return int(self.table.column("top_tile_row")[row].as_py())

    def fits(self, tiles: int) -> bool:
        """Whether every cluster names a tile of a table of so many rows, and one with a score names any."""
        rows = cast("list[int | None]", self.table.column("top_tile_row").to_pylist())
        scored = ~np.isnan(self.flag_scores)
        return bool(scored.any() or not tiles) and all(
            0 <= row < tiles if row is not None else not has_score
            for row, has_score in zip(rows, scored, strict=True)
        )

    @property
    def flag_scores(self) -> npt.NDArray[np.float64]:
        """The ranking score (0 to 1) per cluster, NaN where it has no tile, shape [clusters]."""
        head = flagging_head(self.heads)
        return self._numbers(score_column(head.name, cast(str, head.flag_class)))

    @property
    def attention(self) -> npt.NDArray[np.float64] | None:
        """Weight (0 to 1) of each cluster in its slide's bag, shape [clusters]; NaN without tiles.

        None where the model has no attention head.
        """
        weights = self._numbers("attention")
        return None if np.isnan(weights).all() else weights

    def _numbers(self, column: str) -> npt.NDArray[np.float64]:
        values = cast("list[float | None]", self.table.column(column).to_pylist())
        return np.array([np.nan if value is None else value for value in values], np.float64)


def write_cluster_scores(
    path: Path, table: pa.Table, score_footer: Mapping[str, object], *, clusters_sha256: str, pooling: str
) -> None:
    """Write one slide's scored clusters atomically.

    Args:
        path: Where to write.
        table: Columns of :func:`inkdot.storage.schemas.cluster_scores_schema`, in the order of the cluster table.
        score_footer: Footer of the slide's tile scores, which binds them to tiles and model.
        clusters_sha256: Hash of the cluster table whose rows these are.
        pooling: Pooling of tile scores to a cluster score.

    Raises:
        ValueError: The table has other columns.
    """
    heads = heads_from_json(score_footer["heads"])
    expected = cluster_scores_schema(heads)
    if not table.schema.remove_metadata().equals(expected):
        raise ValueError(
            f"expected columns {', '.join(expected.names)}, found {', '.join(table.column_names)}"
        )
    footer = {name: value for name, value in score_footer.items() if name != "version"}
    footer |= {"clusters_sha256": clusters_sha256, "pooling": pooling}
    write_table(path, table, CLUSTER_SCORES_VERSION, footer)


def read_cluster_scores(path: Path) -> ClusterScores:
    """Read one slide's scored clusters.

    Raises:
        StorageError: The file is missing or damaged, of another version, or lacks a footer entry or a column.
    """
    table, footer = read_table(path, CLUSTER_SCORES_VERSION)
    with checked_footer(path, "scored clusters"):
        heads = heads_from_json(footer["heads"])
        texts_of(footer, "warnings")
        points = cast("Mapping[str, object]", footer["operating_points"])
        scores = ClusterScores(
            table=table,
            heads=heads,
            operating_points={name: OperatingPoint.model_validate(point) for name, point in points.items()},
            pooling=str(footer["pooling"]),
            tiles_sha256=str(footer["tiles_sha256"]),
            clusters_sha256=str(footer["clusters_sha256"]),
            model_sha256=str(footer["model_sha256"]),
            footer=footer,
        )
    check_columns(path, table, cluster_scores_schema(heads), CLUSTER_SCORES_VERSION)
    return scores
