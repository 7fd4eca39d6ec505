"""Scored tiles of a slide, read."""

from pathlib import Path
from typing import Any

import pytest

from inkdot.config import HeadConfig
from inkdot.errors import StorageError
from inkdot.labels import DEFAULT_HEADS
from inkdot.records import TileSpec
from inkdot.storage.record_json import tile_spec_json
from inkdot.storage.schemas import SCORES_VERSION, scores_schema
from inkdot.storage.tables.parquet_tables import write_table
from inkdot.storage.tables.scores import read_scores
from inkdot.units import MicrometresPerPixel, TilePx

HEADS = [HeadConfig.from_head(head).model_dump(mode="json") for head in DEFAULT_HEADS]
FOOTER: dict[str, Any] = {
    "slide": {},
    "tile_spec": tile_spec_json(TileSpec(TilePx(256), MicrometresPerPixel(0.25), TilePx(128))),
    "heads": HEADS,
    "operating_points": {},
    "warnings": [],
    "synthetic_model": False,
}


def written(path: Path, footer: dict[str, Any]) -> Path:
    write_table(path, scores_schema(DEFAULT_HEADS).empty_table(), SCORES_VERSION, footer)
    return path


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"heads": [HEADS[0] | {"answers": {}}]}, "ValidationError: answers: Extra inputs are not permitted"),
        ({"operating_points": {"malignancy": {}}}, "ValidationError: class_name: Field required"),
        ({"abstention": {"malignancy": 1}}, "ValidationError: "),
        ({"tile_spec": None}, "TypeError: "),
        ({"warnings": None}, "TypeError: "),
    ],
)
def test_an_invalid_footer_entry_is_one_line(tmp_path: Path, change: dict[str, Any], found: str) -> None:
    path = written(tmp_path / "s.parquet", FOOTER | change)
    with pytest.raises(StorageError, match="expected scored tiles with their footer, found ") as error:
        read_scores(path)
    assert f"found {found}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_footer_entry_is_named(tmp_path: Path) -> None:
    assert read_scores(written(tmp_path / "whole.parquet", FOOTER)).heads == DEFAULT_HEADS
    for name in FOOTER:
        path = written(tmp_path / f"{name}.parquet", {key: FOOTER[key] for key in FOOTER if key != name})
        with pytest.raises(StorageError, match=f"found KeyError: '{name}'; run `inkdot predict` again"):
            read_scores(path)


def test_other_columns_are_refused_by_name(tmp_path: Path) -> None:
    path, table = tmp_path / "s.parquet", scores_schema(DEFAULT_HEADS).empty_table()
    for changed, found in (
        (table.drop_columns("y_l0_px"), "column y_l0_px of none in place of int32"),
        (table.append_column("x_l0_px", table.column("x_l0_px")), "column x_l0_px of none in place of int32"),
        (
            table.set_column(0, "x_l0_px", table.column(0).cast("float")),
            "column x_l0_px of float in place of int32",
        ),
        (table.append_column("more", table.column(0)), "columns x_l0_px, "),
    ):
        write_table(path, changed, SCORES_VERSION, FOOTER)
        with pytest.raises(StorageError, match=f"expected the columns of {SCORES_VERSION}, found {found}"):
            read_scores(path)
