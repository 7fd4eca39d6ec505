"""Measurements as Arrow tables; the names of columns carry unit and frame."""

from collections.abc import Sequence
from dataclasses import asdict, fields

import pyarrow as pa

from inkdot.morphometry.cluster_measurements import ClusterMeasurement
from inkdot.morphometry.lymphocyte_reference import LymphocyteReference
from inkdot.morphometry.nucleus_measurements import NucleusMeasurement

_INTEGERS = ("label", "n_nuclei")
_NUCLEUS_FIELDS = tuple(field.name for field in fields(NucleusMeasurement))
_CLUSTER_FIELDS = tuple(field.name for field in fields(ClusterMeasurement) if field.name != "labels")


def _field(name: str) -> "pa.Field[pa.DataType]":
    if name in _INTEGERS:
        return pa.field(name, pa.int32())
    return pa.field(name, pa.bool_() if name == "touches_border" else pa.float32())


def nucleus_table(nuclei: Sequence[NucleusMeasurement], reference: LymphocyteReference) -> pa.Table:
    """One row per nucleus: its measurements, and diameter_ratio and hyperchromasia by the reference (null without one)."""
    rows = [
        asdict(one)
        | {
            "diameter_ratio": reference.ratio(one.diameter_um),
            "hyperchromasia": reference.hyperchromasia(one.mean_od),
        }
        for one in nuclei
    ]
    schema = pa.schema([_field(name) for name in (*_NUCLEUS_FIELDS, "diameter_ratio", "hyperchromasia")])
    return pa.Table.from_pylist(rows, schema=schema)


def cluster_table(clusters: Sequence[ClusterMeasurement]) -> pa.Table:
    """One row per cluster; nuclei_labels lists the numbers of its nuclei."""
    rows = [asdict(one) | {"nuclei_labels": list(one.labels)} for one in clusters]
    schema = pa.schema(
        [*(_field(name) for name in _CLUSTER_FIELDS), pa.field("nuclei_labels", pa.list_(pa.int32()))]
    )
    return pa.Table.from_pylist(rows, schema=schema)
