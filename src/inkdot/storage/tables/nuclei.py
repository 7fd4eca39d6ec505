"""Outlines of the nuclei of measured clusters."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import shapely

from inkdot.errors import StorageError
from inkdot.storage.schemas import NUCLEI_VERSION, nuclei_schema
from inkdot.storage.tables.parquet_tables import check_columns, read_table

Ring = tuple[tuple[float, float], ...]
"""Points x, y in level-0 pixels, not closed."""


@dataclass(frozen=True, slots=True)
class NucleusOutlines:
    """Nuclei of one cluster, as outlined.

    Attributes:
        measured: Those that its measurements are made of.
        cut: Those cut by the edge of what was read around the cluster, which were not measured.
    """

    measured: tuple[Ring, ...] = ()
    cut: tuple[Ring, ...] = ()


def read_nuclei(path: Path, clusters_sha256: str) -> Mapping[int, NucleusOutlines] | None:
    """The outlined nuclei of one slide, by cluster.

    Args:
        path: The table.
        clusters_sha256: Hash of the cluster table that the outlines must belong to.

    Returns:
        The clusters that have any; None where there is no table, as in results of earlier versions, or one of other clusters.

    Raises:
        StorageError: The file is damaged, of another version, or lacks a column.
    """
    if not path.exists():
        return None
    table, footer = read_table(path, NUCLEI_VERSION)
    check_columns(path, table, nuclei_schema(), NUCLEI_VERSION)
    if footer.get("clusters_sha256") != clusters_sha256:
        return None
    columns = (cast("list[object]", table.column(name).to_pylist()) for name in table.column_names)
    rings: dict[int, tuple[list[Ring], list[Ring]]] = {}
    for cluster, text, measured in zip(*columns, strict=True):
        rings.setdefault(cast(int, cluster), ([], []))[0 if measured else 1].append(_ring(path, str(text)))
    return {row: NucleusOutlines(tuple(whole), tuple(cut)) for row, (whole, cut) in rings.items()}


def _ring(path: Path, wkt: str) -> Ring:
    try:
        polygon = shapely.from_wkt(wkt)
    except shapely.errors.ShapelyError:
        polygon = None
    if not isinstance(polygon, shapely.Polygon) or polygon.is_empty:
        raise StorageError(
            f"{path}: expected outlines as WKT POLYGON, found {wkt[:40]!r}; run `inkdot predict` again"
        )
    return tuple((x, y) for x, y in polygon.exterior.coords[:-1])
