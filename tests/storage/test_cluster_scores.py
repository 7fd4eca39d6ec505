"""Scored clusters: what binds them, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from inkdot.config import HeadConfig
from inkdot.errors import StorageError
from inkdot.labels import DEFAULT_HEADS
from inkdot.storage.models.model_records import OperatingPoint
from inkdot.storage.schemas import CLUSTER_SCORES_VERSION, cluster_scores_schema
from inkdot.storage.tables.cluster_scores import read_cluster_scores, write_cluster_scores
from inkdot.storage.tables.parquet_tables import write_table

GOLDEN = Path(__file__).parent / "golden" / "cluster_scores_v2.parquet"

POINT = OperatingPoint(
    class_name="malignant", threshold=0.5, target_sensitivity=0.95, sensitivity=None, specificity=None
)
SCORE_FOOTER: dict[str, object] = {
    "version": "inkdot.scores/3",
    "slide": {"slide_id": "Präparat 1"},
    "tiles_sha256": "ab" * 32,
    "model_sha256": "cd" * 32,
    "heads": [HeadConfig.from_head(head).model_dump(mode="json") for head in DEFAULT_HEADS],
    "operating_points": {"malignancy": POINT.model_dump(mode="json")},
    "warnings": ["stain not stated"],
    "synthetic_model": False,
}
BINDING = {"clusters_sha256": "ef" * 32, "pooling": "max"}


def cluster_rows() -> pa.Table:
    """A cluster on two tiles, one on one tile, and one that has none."""
    columns: dict[str, list[Any]] = {
        "cluster_id": [0, 1, 2],
        "geometry": [f"POLYGON (({x} 0, {x + 9} 0, {x + 9} 9, {x} 0))" for x in (0, 100, 200)],
        "centre_x_l0_px": [4.5, 104.5, 204.5],
        "centre_y_l0_px": [4.5, 4.5, 4.5],
        "tiles": [2, 1, 0],
        "top_tile_row": [1, 2, None],
        "attention": [0.75, 0.25, None],
        "p.malignancy.benign": [0.125, 0.75, None],
        "p.malignancy.malignant": [0.875, 0.25, None],
        "p.morphology.small_cell": [0.5, 0.5, None],
        "p.morphology.large_cell": [0.5, 0.5, None],
    }
    return pa.Table.from_pydict(columns, schema=cluster_scores_schema(DEFAULT_HEADS))


def test_what_is_written_comes_back_bound_to_what_it_was_made_from(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    write_cluster_scores(path, cluster_rows(), SCORE_FOOTER, **BINDING)
    scores = read_cluster_scores(path)
    assert scores.table.to_pylist() == cluster_rows().to_pylist()
    assert (scores.tiles_sha256, scores.clusters_sha256, scores.model_sha256, scores.pooling) == (
        "ab" * 32,
        "ef" * 32,
        "cd" * 32,
        "max",
    )
    assert scores.operating_points == {"malignancy": POINT}
    assert scores.footer["warnings"] == ["stain not stated"]
    np.testing.assert_array_equal(scores.flag_scores, [0.875, 0.25, np.nan])
    np.testing.assert_array_equal(scores.attention, [0.75, 0.25, np.nan])


def test_without_an_attention_head_attention_is_null(tmp_path: Path) -> None:
    rows = cluster_rows()
    rows = rows.set_column(rows.column_names.index("attention"), "attention", pa.nulls(3, pa.float32()))
    write_cluster_scores(tmp_path / "s.parquet", rows, SCORE_FOOTER, **BINDING)
    assert read_cluster_scores(tmp_path / "s.parquet").attention is None


def test_the_golden_file_of_version_2_stays_readable_and_is_what_is_written_today(tmp_path: Path) -> None:
    assert read_cluster_scores(GOLDEN).table.to_pylist() == cluster_rows().to_pylist()
    write_cluster_scores(tmp_path / "s.parquet", cluster_rows(), SCORE_FOOTER, **BINDING)
    today, golden = read_cluster_scores(tmp_path / "s.parquet"), read_cluster_scores(GOLDEN)
    # Operating points are the model's own record, which may learn to say more; what they say is compared as read.
    assert today.operating_points == golden.operating_points
    assert {**today.footer, "operating_points": None} == {**golden.footer, "operating_points": None}


def test_other_columns_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected columns cluster_id, geometry"):
        write_cluster_scores(tmp_path / "s.parquet", cluster_rows().drop(["tiles"]), SCORE_FOOTER, **BINDING)
    assert list(tmp_path.iterdir()) == []


def test_other_versions_and_missing_footer_entries_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    footer = {name: value for name, value in SCORE_FOOTER.items() if name != "version"} | BINDING
    for version in ("inkdot.cluster_scores/1", "inkdot.cluster_scores/3", "inkdot.scores/4"):
        write_table(path, cluster_rows(), version, footer)
        with pytest.raises(StorageError, match=f"expected version {CLUSTER_SCORES_VERSION}, found {version}"):
            read_cluster_scores(path)
    for name in ("heads", "clusters_sha256", "tiles_sha256", "model_sha256", "operating_points"):
        without = {key: value for key, value in footer.items() if key != name}
        write_table(path, cluster_rows(), CLUSTER_SCORES_VERSION, without)
        with pytest.raises(StorageError, match=f"with their footer, found KeyError: '{name}'"):
            read_cluster_scores(path)
    write_table(path, cluster_rows().drop(["attention"]), CLUSTER_SCORES_VERSION, footer)
    with pytest.raises(
        StorageError, match=r"found column attention of none in place of float; run `inkdot predict` again"
    ):
        read_cluster_scores(path)


def test_a_column_of_another_type_and_warnings_that_are_no_texts_are_named(tmp_path: Path) -> None:
    path, footer = tmp_path / "s.parquet", SCORE_FOOTER | BINDING
    footer.pop("version")
    rows = cluster_rows()
    as_text = rows.set_column(0, "cluster_id", rows.column("cluster_id").cast(pa.string()))
    write_table(path, as_text, CLUSTER_SCORES_VERSION, footer)
    with pytest.raises(StorageError, match="found column cluster_id of string in place of int32"):
        read_cluster_scores(path)
    write_table(path, rows, CLUSTER_SCORES_VERSION, footer | {"warnings": ["a", 0.5]})
    with pytest.raises(StorageError, match="warnings: expected a list of texts; run `inkdot predict` again"):
        read_cluster_scores(path)


def test_clusters_fit_a_table_that_has_their_tiles(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    write_cluster_scores(path, cluster_rows(), SCORE_FOOTER, **BINDING)
    scores = read_cluster_scores(path)
    assert [scores.fits(tiles) for tiles in (1, 2, 3, 4)] == [False, False, True, True]
