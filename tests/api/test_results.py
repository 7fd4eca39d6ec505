"""A results folder read in Python: the tables as they were written, with types."""

import builtins
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import inkdot
from inkdot.errors import ManifestError, StorageError, UserError
from inkdot.review.verdicts.verdict_table import COLUMNS, VERDICTS_VERSION
from inkdot.storage.layout import RunLayout
from inkdot.storage.tables.predictions import read_predictions

pytestmark = pytest.mark.slow  # each compares with a run of the commands


@pytest.fixture(scope="module")
def results(command_results: RunLayout) -> inkdot.Results:
    return inkdot.read_results(command_results.root)


def test_slides_have_one_typed_row_each(results: inkdot.Results, command_results: RunLayout) -> None:
    frame = results.slides().set_index("slide_id")
    rows = {row["slide_id"]: row for row in read_predictions(command_results.predictions_csv)}
    assert list(frame.index) == list(rows)
    (scored,) = results
    assert frame.loc[scored, "score"] == float(rows[scored]["score"])
    assert frame.loc[scored, "clusters"] == int(rows[scored]["clusters"])
    assert frame.loc["broken", "outcome"] == "failed"
    assert frame["score"].isna()["broken"]
    assert frame["clusters"].isna()["broken"]
    types = {name: str(frame[name].dtype) for name in ("score", "clusters", "tiles", "assessable_mm2")}
    assert types == {"score": "float64", "clusters": "Int64", "tiles": "int64", "assessable_mm2": "float64"}


def test_no_column_of_the_file_is_left_out(results: inkdot.Results, command_results: RunLayout) -> None:
    written = read_predictions(command_results.predictions_csv)[0]
    assert set(results.slides_arrow().column_names) == set(written)


def test_it_is_a_mapping_of_the_slides_that_were_scored(results: inkdot.Results) -> None:
    assert isinstance(results, Mapping)
    assert len(results) == 1
    assert "broken" not in results
    with pytest.raises(KeyError):
        _ = results["broken"]
    (slide_id,) = results
    assert results[slide_id].slide_id == slide_id


def test_tables_of_a_slide_are_those_on_disk(results: inkdot.Results, command_results: RunLayout) -> None:
    (slide_id,) = results
    tiles = pq.read_table(command_results.scores(slide_id), partitioning=None)
    assert results.tiles_arrow(slide_id).to_pydict() == tiles.to_pydict()
    assert len(results.tiles(slide_id)) == len(tiles)
    scores = pq.read_table(command_results.cluster_scores(slide_id), partitioning=None)
    clusters = results.clusters_arrow(slide_id)
    assert clusters.select(scores.column_names).to_pydict() == scores.to_pydict()
    assert "nucleus_um" in results.clusters(slide_id)


def test_regions_come_by_score(results: inkdot.Results) -> None:
    (slide_id,) = results
    prediction = results[slide_id]
    regions, clusters = prediction.regions(5), prediction.clusters().set_index("cluster_id")
    assert list(regions["rank"]) == [1, 2, 3, 4, 5]
    assert regions["score"].is_monotonic_decreasing
    assert regions["score"][0] == pytest.approx(clusters["p.malignancy.malignant"].max())
    assert (regions["flagged"] == (regions["score"] >= prediction.threshold)).all()
    for row in regions.itertuples():
        assert row.nuclei == clusters.loc[row.cluster_id, "nuclei"]
        assert (row.x_l0_px, row.y_l0_px) == tuple(clusters.loc[row.cluster_id, ["x_l0_px", "y_l0_px"]])


def verdict(slide_id: str, label: str, time: str, **cells: str) -> str:
    row = dict.fromkeys(COLUMNS, "") | {
        "slide_id": slide_id,
        "geometry": '"POLYGON ((0 0, 10 0, 10 10, 0 10, 0 0))"',
        "head": "malignancy",
        "verdict": label,
        "reader": "r1",
        "time": time,
        "shown": "scores",
        "schema": VERDICTS_VERSION,
        **cells,
    }
    return ",".join(row.values())


def test_the_last_verdict_of_each_reader_counts(results: inkdot.Results, tmp_path: Path) -> None:
    (slide_id,) = results
    path = tmp_path / "verdicts.csv"
    lines = [
        ",".join(COLUMNS),
        verdict(slide_id, "benign", "2026-01-31T09:30:00Z"),
        verdict(slide_id, "malignant", "2026-01-31T09:31:00Z"),
        verdict(slide_id, "atypical", "2026-01-31T09:30:00Z", reader="r2"),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    frame = results.verdicts(path)
    assert dict(zip(frame["reader"], frame["verdict"], strict=True)) == {"r1": "malignant", "r2": "atypical"}
    assert set(frame["geometry"]) == {"POLYGON ((0 0, 10 0, 10 10, 0 10, 0 0))"}


def test_a_folder_without_verdicts_or_results_is_named(results: inkdot.Results, tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"reviews\.sqlite: expected a table, found nothing there; give a verdicts"
    ):
        results.verdicts()
    with pytest.raises(StorageError, match="expected the results of `inkdot predict`"):
        inkdot.read_results(tmp_path)


def test_without_pandas_arrow_still_works(results: inkdot.Results, monkeypatch: pytest.MonkeyPatch) -> None:
    import_module = builtins.__import__

    def no_pandas(name: str, *args: object, **kwargs: object) -> object:
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'")
        return import_module(name, *args, **kwargs)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(builtins, "__import__", no_pandas)
    with pytest.raises(UserError, match=r"pip install 'inkdot\[notebook\]'") as raised:
        results.slides()
    assert "\n" not in str(raised.value)
    assert isinstance(results.slides_arrow(), pa.Table)
