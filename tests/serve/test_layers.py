"""Layers over the slide: outlines in level-0 pixels, without free text, and only on request."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
import shapely

from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import manifest_text, read_slides
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import CLUSTERS_VERSION, clusters_schema
from inkdot.storage.tables.labels_table import RegionLabel, write_labels
from inkdot.storage.tables.parquet_tables import write_table

SLIDE = "S2 clean"
STAR = shapely.Polygon([(100, 100), (300, 100.04), (300, 300), (200, 200.5), (100, 300)])


def slide_key(served: Any) -> str:
    return next(key for key, slide in served.shown.slides.items() if slide.entry.slide_id == SLIDE)


def write_clusters(results: RunLayout) -> None:
    """Two clusters, the second out of focus; columns this test is not about are as empty as may be."""
    known = {"geometry": [STAR.wkt, shapely.box(500, 500, 600, 700).wkt], "in_focus": [True, False]}
    empty = {pa.types.is_string: "", pa.types.is_list: [], pa.types.is_boolean: False}

    def column(field: pa.Field) -> pa.Array:
        if field.name in known:
            return pa.array(known[field.name], field.type)
        if field.nullable:
            return pa.nulls(2, field.type)
        value = next((value for is_kind, value in empty.items() if is_kind(field.type)), 0)
        return pa.array([value, value], field.type)

    schema = clusters_schema()
    table = pa.Table.from_arrays([column(field) for field in schema], schema=schema)
    write_table(results.clusters(SLIDE), table, CLUSTERS_VERSION, {})


def test_clusters_are_a_layer_where_there_are_any(serve: Callable[..., Any], results: RunLayout) -> None:
    write_clusters(results)
    served = serve()
    offered = {slide.entry.slide_id: slide.layers for slide in served.shown.slides.values()}
    assert offered.pop(SLIDE) == ("scores", "clusters")
    assert set(offered.values()) == {("scores",)}
    layer = served.client(served.readers[0]).get(f"/slides/{slide_key(served)}/layers/clusters").json()
    assert layer["kind"] == ["in focus", "out of focus"]
    assert [len(rings) for rings in layer["rings"]] == [1, 1]
    assert shapely.Polygon(layer["rings"][0][0]).symmetric_difference(STAR).area < 20


def annotate(results: RunLayout, text: str | None = None) -> None:
    """Name an annotation of one slide in the results' slides.csv."""
    path = results.root / "drawn"
    entries = [
        replace(entry, annotation=path if entry.slide_id == SLIDE else None)
        for entry in read_slides(results.slides_csv, DEFAULT_HEADS)
    ]
    write_text(results.slides_csv, manifest_text(entries, DEFAULT_HEADS, results.root))
    if text is None:
        labels = [
            RegionLabel(SLIDE, STAR, "malignancy", "atypical", "Dr Somebody", "annotation"),
            RegionLabel("another slide", STAR, "malignancy", "benign", "Dr Somebody", "annotation"),
        ]
        write_labels(path, labels)
    else:
        path.write_text(text, encoding="utf-8")


def test_annotations_are_a_layer_on_request_without_names(
    serve: Callable[..., Any], results: RunLayout
) -> None:
    annotate(results)
    plain = serve()
    address = f"/slides/{slide_key(plain)}/layers/annotations"
    assert plain.client(plain.readers[0]).get(address).status_code == 404
    served = serve(annotations=True)
    response = served.client(served.readers[0]).get(address)
    assert response.json()["kind"] == ["atypical"]
    assert "Somebody" not in response.text
    blinded = serve(annotations=True, blinded_seed=3)
    assert blinded.client(blinded.readers[0]).get(address).status_code == 404


@pytest.mark.parametrize(
    "text", ["{", '{"type": "FeatureCollection", "features": 3}', "no annotation at all"]
)
def test_an_unreadable_annotation_is_reported_without_its_path(
    serve: Callable[..., Any], results: RunLayout, text: str
) -> None:
    annotate(results, text)
    served = serve(annotations=True)
    response = served.client(served.readers[0]).get(f"/slides/{slide_key(served)}/layers/annotations")
    assert (response.status_code, response.text) == (422, "The annotations of this slide cannot be read.")
