"""Scored tiles of a slide, read."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from inkdot.config import HeadConfig
from inkdot.errors import StorageError
from inkdot.labels import DEFAULT_HEADS
from inkdot.records import TileSpec
from inkdot.storage.models.model_records import AbstentionBand, Interval, OperatingPoint
from inkdot.storage.models.slide_score_rule import SlideScoreRule
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


POINT = OperatingPoint(
    class_name="malignant", threshold=0.8, target_sensitivity=0.95, sensitivity=None, specificity=None
)


def scored(path: Path, malignant: list[float], distances: list[float] | None = None, **footer: Any) -> Path:
    """Tiles with these scores, of a model whose threshold is 0.8."""
    schema = scores_schema(DEFAULT_HEADS)
    columns: dict[str, list[Any]] = {
        field.name: [None if field.nullable else 0] * len(malignant) for field in schema
    }
    columns |= {name: [0.5] * len(malignant) for name in schema.names if name.startswith("p.")}
    columns |= {"p.malignancy.malignant": malignant, "ood_distance": distances or [None] * len(malignant)}
    points = {"operating_points": {"malignancy": POINT.model_dump(mode="json")}}
    write_table(path, pa.Table.from_pydict(columns, schema=schema), SCORES_VERSION, FOOTER | points | footer)
    return path


def test_a_tile_at_the_threshold_is_flagged_and_the_next_lower_one_is_not(tmp_path: Path) -> None:
    below = float(np.nextafter(np.float32(0.8), np.float32(0.0)))
    found = read_scores(scored(tmp_path / "s.parquet", [0.1, below, 0.8, 0.9, 1.0, 0.0]))
    assert found.threshold == 0.8
    assert found.flagged.tolist() == [False, False, True, True, True, False]
    assert (found.count, found.spread, found.mil_score, found.keep_ood_calls) == (6, None, None, True)


@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_scores_outside_0_to_1_are_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(StorageError, match="expected scores from 0 to 1"):
        read_scores(scored(tmp_path / "s.parquet", [0.5, value]))


@pytest.mark.parametrize(
    ("distances", "limit", "distant"),
    [([1.0, 2.0, 9.0], 1.99, True), ([1.0, 2.0, 9.0], 2.0, False), ([1.0, 2.0, 9.0], None, False), (None, 1.0, False)],
)  # fmt: skip
def test_a_slide_with_a_median_distance_above_the_limit_is_named(
    tmp_path: Path, distances: list[float] | None, limit: float | None, distant: bool
) -> None:
    path = scored(
        tmp_path / "s.parquet", [0.5, 0.5, 0.5], distances,
        distance_limit=limit, warnings=["stain not stated"], unseen=["stain"], ood_calls="abstain",
    )  # fmt: skip
    found = read_scores(path)
    assert found.warnings[0] == "stain not stated"
    assert found.ood_reasons[0] == "stain"
    assert len(found.warnings) == len(found.ood_reasons) == 1 + distant
    assert not found.keep_ood_calls
    if distant:
        assert "at most 1.99 from the training slides, found 2.00" in found.warnings[1]
        assert found.warnings[1] == found.ood_reasons[1]


def test_what_the_footer_says_is_read_back(tmp_path: Path) -> None:
    share = Interval(value=0.9, low=0.8, high=1.0, method="by hand")
    band = AbstentionBand(
        low=0.6,
        high=0.9,
        target_selective_risk=0.05,
        selective_risk=share,
        coverage=share,
        evaluated_on="slides",
    )
    rule = SlideScoreRule(
        slope=0.5, reference_count=10.0, lowest_count=2, highest_count=1000, fitted_on="validation", slides=9, patients=9
    )  # fmt: skip
    found = read_scores(
        scored(
            tmp_path / "s.parquet", [0.1, 0.2],
            slide={"slide_id": "one"}, assessment={"adequate": False}, synthetic_model=True, mil_score=0.25,
            member_slide_scores=[0.2, 0.4], abstention={"malignancy": band.model_dump(mode="json")},
            slide_score_rule=rule.model_dump(mode="json"),
        )
    )  # fmt: skip
    assert found.slide == {"slide_id": "one"}
    assert found.assessment == {"adequate": False}
    assert found.synthetic_model
    assert found.mil_score == 0.25
    assert found.member_slide_scores == (0.2, 0.4)
    assert found.abstention == {"malignancy": band}
    assert found.slide_score_rule == rule
    assert found.threshold == rule.threshold_at(0.8, 2) != 0.8
    assert found.spec == TileSpec(TilePx(256), MicrometresPerPixel(0.25), TilePx(128))
    bare = read_scores(scored(tmp_path / "bare.parquet", [0.1]))
    assert (bare.assessment, bare.abstention, bare.member_slide_scores, bare.slide_score_rule) == (
        {},
        {},
        (),
        None,
    )
    assert (bare.ood_reasons, bare.synthetic_model) == ((), False)
