"""Tables of one slide name each other's rows by number: those of different runs are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from inkdot.config import HeadConfig
from inkdot.errors import StorageError
from inkdot.labels import DEFAULT_HEADS
from inkdot.pipeline.results.render_slide import read_slide_prediction
from inkdot.records import TileSpec
from inkdot.review.results.read_results import read_slide_results
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_records import OperatingPoint
from inkdot.storage.record_json import tile_spec_json
from inkdot.storage.schemas import (
    CLUSTERS_VERSION,
    NUCLEI_VERSION,
    SCORES_VERSION,
    cluster_scores_schema,
    clusters_schema,
    nuclei_schema,
    scores_schema,
)
from inkdot.storage.tables.cluster_scores import write_cluster_scores
from inkdot.storage.tables.nuclei import NucleusOutlines
from inkdot.storage.tables.parquet_tables import read_table, write_table
from inkdot.units import MicrometresPerPixel, TilePx

POINT = OperatingPoint(
    class_name="malignant", threshold=0.5, target_sensitivity=0.95, sensitivity=None, specificity=None
)
SLIDE = {
    "slide_id": "s", "width_l0_px": 900, "height_l0_px": 900, "mpp_x": 0.5, "mpp_y": 0.5, "mpp_source": "metadata",
    "bounds_l0_px": None, "synthetic": False,
}  # fmt: skip
FOOTER: dict[str, Any] = {
    "slide": SLIDE, "tile_spec": tile_spec_json(TileSpec(TilePx(100), MicrometresPerPixel(0.5), TilePx(100))),
    "heads": [HeadConfig.from_head(head).model_dump(mode="json") for head in DEFAULT_HEADS],
    "operating_points": {"malignancy": POINT.model_dump(mode="json")}, "warnings": [], "synthetic_model": False,
    "model_sha256": "ab" * 32, "tiles_sha256": "cd" * 32,
}  # fmt: skip
FLAGS = (0.75, 0.25)


def table(schema: pa.Schema, **known: list[Any]) -> pa.Table:
    """Two rows; a column that is not given has what its type allows."""
    empty: dict[str, Any] = {"int32": 1, "float": 0.5, "string": "", "bool": True}
    columns = {
        field.name: known.get(field.name, [None if field.nullable else empty.get(str(field.type))] * 2)
        for field in schema
    }
    return pa.Table.from_pydict(columns, schema=schema)


@pytest.fixture
def results(tmp_path: Path) -> RunLayout:
    """Two clusters with a tile each."""
    layout = RunLayout(tmp_path)
    scores = {"p.malignancy.malignant": list(FLAGS), "p.malignancy.benign": [1 - flag for flag in FLAGS]}
    outlines = [f"POLYGON (({x} 0, {x + 9} 0, {x + 9} 9, {x} 0))" for x in (0, 100)]
    tiles = table(scores_schema(DEFAULT_HEADS), x_l0_px=[0, 100], cluster_id=[0, 1], **scores)
    write_table(layout.scores("s"), tiles, SCORES_VERSION, FOOTER)
    clusters = table(clusters_schema(), cluster_id=[0, 1], geometry=outlines, tile_rows=[[0], [1]])
    write_table(layout.clusters("s"), clusters, CLUSTERS_VERSION, {})
    scored = table(
        cluster_scores_schema(DEFAULT_HEADS), cluster_id=[0, 1], geometry=outlines, top_tile_row=[0, 1], **scores
    )  # fmt: skip
    write_cluster_scores(layout.cluster_scores("s"), scored, FOOTER, clusters_sha256="ef" * 32, pooling="max")
    return layout


def write_outlines(layout: RunLayout, geometry: str, *, clusters_sha256: str = "ef" * 32) -> None:
    rows = [
        {"cluster_id": 0, "geometry": geometry, "measured": True},
        {"cluster_id": 0, "geometry": "POLYGON ((5 5, 6 5, 6 6, 5 5))", "measured": False},
    ]
    footer = {"clusters_sha256": clusters_sha256}
    write_table(
        layout.nuclei("s"), pa.Table.from_pylist(rows, schema=nuclei_schema()), NUCLEI_VERSION, footer
    )


def outlines_of(layout: RunLayout) -> list[NucleusOutlines | None]:
    regions = read_slide_results(layout, "s", "s").ranking(5, 0.5).regions
    return [region.cluster.outlines for region in regions if region.cluster]


def test_outlines_of_nuclei_are_read_with_their_clusters_alone(results: RunLayout) -> None:
    triangle = "POLYGON ((1 1, 4.5 1, 4 4, 1 1))"
    assert outlines_of(results) == [None, None]  # results of earlier versions
    write_outlines(results, triangle)
    whole, cut = ((1.0, 1.0), (4.5, 1.0), (4.0, 4.0)), ((5.0, 5.0), (6.0, 5.0), (6.0, 6.0))
    assert outlines_of(results) == [NucleusOutlines((whole,), (cut,)), NucleusOutlines()]
    write_outlines(results, triangle, clusters_sha256="01" * 32)
    assert outlines_of(results) == [None, None]


@pytest.mark.parametrize("geometry", ["POINT (1 1)", "POLYGON ((1 1, 2", "", "POLYGON EMPTY"])
def test_an_outline_that_is_none_is_said(results: RunLayout, geometry: str) -> None:
    write_outlines(results, geometry)
    with pytest.raises(
        StorageError, match=r"expected outlines as WKT POLYGON, found .*; run `inkdot predict` again"
    ):
        read_slide_results(results, "s", "s")


def change(path: Path, version: str, edit: Callable[[pa.Table], pa.Table]) -> None:
    rows, footer = read_table(path, version)
    write_table(path, edit(rows.replace_schema_metadata(None)), version, {**footer})


def with_column(name: str, values: list[Any]) -> Callable[[pa.Table], pa.Table]:
    return lambda rows: rows.set_column(
        rows.schema.get_field_index(name),
        rows.schema.field(name),
        pa.array(values, rows.schema.field(name).type),
    )


def test_tables_that_belong_together_are_read(results: RunLayout) -> None:
    found = read_slide_results(results, "s", "s").ranking(5, 0.5)
    assert [region.score for region in found.regions] == pytest.approx(FLAGS)
    assert read_slide_prediction(results, "s").score == "0.7500"


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda rows: rows.slice(0, 1), "1 clusters, and scores of 2"),
        (with_column("tile_rows", [[0], [7]]), "other tiles than 0 to 1"),
        (with_column("tile_rows", [[0], [-1]]), "other tiles than 0 to 1"),
        (lambda rows: rows.drop_columns("nuclei"), "column nuclei of none in place of int32"),
    ],
)
def test_clusters_of_another_run_are_refused(
    results: RunLayout, edit: Callable[[pa.Table], pa.Table], found: str
) -> None:
    change(results.clusters("s"), CLUSTERS_VERSION, edit)
    with pytest.raises(StorageError, match=f"found {found}; run `inkdot "):
        read_slide_results(results, "s", "s")


@pytest.mark.parametrize(
    ("owners", "found"),
    [([0, 5], "tiles of other clusters than 0 to 1"), ([None, 1], "1 tiles without a cluster")],
)
def test_tiles_of_other_clusters_are_refused(
    results: RunLayout, owners: list[int | None], found: str
) -> None:
    change(results.scores("s"), SCORES_VERSION, with_column("cluster_id", owners))
    with pytest.raises(StorageError, match=f"found {found}; run `inkdot predict` again"):
        read_slide_results(results, "s", "s")


def test_a_prediction_of_clusters_on_other_tiles_is_refused(results: RunLayout) -> None:
    change(results.scores("s"), SCORES_VERSION, lambda rows: rows.slice(0, 1))
    with pytest.raises(StorageError, match=r"cluster_scores.*: expected clusters of the 1 tiles in .*scores"):
        read_slide_prediction(results, "s")
