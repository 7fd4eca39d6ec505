"""Cases joined with results of their slides: which slide stands for a case, whose truth counts, what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from inkdot.case_model.read_tables import CaseInputs, read_case_table
from inkdot.config import HeadConfig
from inkdot.errors import UserError
from inkdot.labels import MALIGNANCY
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_records import OperatingPoint
from inkdot.storage.models.slide_score_rule import logits
from inkdot.storage.schemas import SCORES_VERSION, scores_schema
from inkdot.storage.tables.parquet_tables import write_table
from inkdot.storage.tables.predictions import Prediction, write_predictions

SLIDES = {"a1": 0.2, "a2": 0.9, "b1": 0.4, "c1": 0.7, "d1": None}
"""Highest score of each slide; None where it is inadequate. The patient is the letter."""

CASES = """patient_id,csf_protein_g_per_l,csf_glucose_mmol_per_l,serum_glucose_mmol_per_l,mri,outcome,site,age,\
signed_category,signed_by
a,0.75,1.72,6.0,normal,positive,north,61,malignant,R1
b,,3.1,,linear,negative,south,,negative,R1
c,0.4,2.9,5.8,not_done,,north,44,atypical,R1
d,0.5,,,,negative,south,50,,
e,0.6,,,,positive,south,50,,
"""


def write_slide(layout: RunLayout, slide_id: str, score: float | None) -> Prediction:
    flag = np.array([] if score is None else [score / 2, score], np.float32)
    known = {
        "x_l0_px": np.arange(len(flag)),
        "y_l0_px": np.zeros(len(flag)),
        "foreground_fraction": np.ones(len(flag)),
    }
    known |= {"p.malignancy.benign": 1 - flag, "p.malignancy.malignant": flag}
    schema = scores_schema([MALIGNANCY])
    columns = [
        pa.array(known[field.name].tolist(), field.type)
        if field.name in known
        else pa.nulls(len(flag), field.type)
        for field in schema
    ]
    point = OperatingPoint(
        class_name="malignant", threshold=0.5, target_sensitivity=0.95, sensitivity=None, specificity=None
    )
    footer: dict[str, Any] = {
        "slide": {"slide_id": slide_id, "synthetic": False},
        "tile_spec": {"side_px": 100, "mpp": 1.0, "stride_px": 100},
        "model_sha256": "ab" * 32,
        "tiles_sha256": "cd" * 32,
        "heads": [HeadConfig.from_head(MALIGNANCY).model_dump(mode="json")],
        "operating_points": {"malignancy": point.model_dump(mode="json")},
        "warnings": [],
        "synthetic_model": False,
    }
    write_table(layout.scores(slide_id), pa.Table.from_arrays(columns, schema=schema), SCORES_VERSION, footer)
    return Prediction(
        slide_id,
        "done",
        "inadequate" if score is None else "flagged",
        nuclei_in_focus=str(len(slide_id) * 100),
    )


@pytest.fixture
def inputs(tmp_path: Path) -> CaseInputs:
    layout = RunLayout(tmp_path / "results")
    predictions = [write_slide(layout, slide_id, score) for slide_id, score in SLIDES.items()]
    predictions.append(Prediction("e1", "failed", "", reason="damaged"))
    write_predictions(layout.predictions_csv, predictions)
    labels = {
        "a1": "benign",
        "a2": "malignant",
        "b1": "benign",
        "c1": "unsure",
        "d1": "benign",
        "e1": "malignant",
    }
    rows = [f"{name},{name}.tif,{name[0]},{label}" for name, label in labels.items()]
    layout.slides_csv.write_text("\n".join(["slide_id,path,patient_id,malignancy", *rows]) + "\n")
    for name in labels:
        (layout.root / f"{name}.tif").touch()
    (tmp_path / "cases.csv").write_text(CASES)
    return CaseInputs(
        tmp_path / "cases.csv",
        ["csf_protein_g_per_l", "glucose_ratio", "mri"],
        ["slide_score", "nuclei_in_focus"],
        layout.root,
    )


def with_(inputs: CaseInputs, **changed: Any) -> CaseInputs:
    return CaseInputs(**{name: changed.get(name, getattr(inputs, name)) for name in CaseInputs.__slots__})


def test_the_slide_of_the_highest_score_stands_for_its_case(inputs: CaseInputs) -> None:
    table, notes = read_case_table(inputs)
    # c is labelled unsure, and of e no slide could be read; d is inadequate, and its cells are counted all the same.
    assert table.ids.tolist() == ["a", "b", "d"]
    assert table.positive.tolist() == [True, False, False]
    np.testing.assert_allclose(
        table.numbers["slide_score"], [*logits(np.float32([0.9, 0.4])), np.nan], rtol=1e-6
    )
    np.testing.assert_allclose(table.numbers["glucose_ratio"], [1.72 / 6.0, np.nan, np.nan])
    assert table.categories["mri"].tolist() == ["normal", "linear", ""]
    assert table.blocks["mri"] == "case"
    assert notes == ["2 of 5 cases have no truth, left out."]
    assert not table.synthetic


def test_the_truth_may_be_a_column_or_the_signed_category(inputs: CaseInputs) -> None:
    table, notes = read_case_table(with_(inputs, truth="outcome"))
    assert dict(zip(table.ids.tolist(), table.positive.tolist(), strict=True)) == {
        "a": True,
        "b": False,
        "d": False,
    }
    assert (
        notes[1]
        == "1 of 5 cases have a truth and no value of a slide (none, failed or inadequate), left out."
    )
    table, _ = read_case_table(with_(inputs, truth="signed_category"))
    assert dict(zip(table.ids.tolist(), table.positive.tolist(), strict=True)) == {"a": True, "b": False}


def test_an_inadequate_slide_stands_for_no_score(inputs: CaseInputs) -> None:
    table, notes = read_case_table(with_(inputs, slide_columns=["slide_score"]))
    assert table.ids.tolist() == ["a", "b"]
    assert notes[1].startswith("1 of 5 cases have a truth and no value of a slide")


def test_without_a_truth_every_case_is_read(inputs: CaseInputs) -> None:
    table, _ = read_case_table(with_(inputs, columns=["site", "age", "mri"]), with_truth=False)
    assert table.truth is None
    assert table.ids.tolist() == ["a", "b", "c", "d", "e"]
    assert table.categories["site"].tolist() == ["north", "south", "north", "south", "south"]
    assert table.categories["mri"].tolist() == ["normal", "linear", "", "", ""]  # not done is no finding
    assert np.isnan(table.numbers["age"]).tolist() == [False, True, False, False, False]
    assert np.isnan(table.numbers["slide_score"][[3, 4]]).all()


def test_free_columns_may_hold_what_is_known_of_slides(inputs: CaseInputs) -> None:
    table, _ = read_case_table(with_(inputs, results=None, slide_columns=["age"], truth="outcome"))
    assert table.ids.tolist() == ["a", "d", "e"]  # b has no age
    assert table.blocks["age"] == "image"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"columns": ["signed_category"]},
            r"--columns: expected columns that are not part of the truth, found signed_category",
        ),
        ({"columns": ["outcome"], "truth": "outcome"}, "not part of the truth, found outcome"),
        ({"columns": ["protein"]}, r"--columns: expected columns among age, .*, found 'protein'; correct it"),
        ({"columns": []}, "--columns: expected at least one column"),
        ({"columns": ["age", "age"]}, "expected each column once, found age twice"),
        ({"results": None}, "found 'slide_score'; it needs --results"),
        ({"truth": "diagnosis"}, "--truth: expected signed_category or a free column"),
        ({"truth": "site"}, r"line 2: column site: expected positive, negative or blank, found 'north'"),
        ({"results": None, "slide_columns": ["age"]}, "--truth: expected a column, found none"),
    ],
)
def test_what_cannot_be_meant_is_one_line(inputs: CaseInputs, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_case_table(with_(inputs, **changed))
    assert "\n" not in str(caught.value)


def test_words_among_numbers_are_named(inputs: CaseInputs) -> None:
    inputs.cases.write_text(CASES.replace(",44,", ",about 44,"))
    with pytest.raises(UserError, match=r"line 4: column age: expected a number or blank, found 'about 44'"):
        read_case_table(with_(inputs, columns=["age"]))


def test_out_of_fold_scores_take_the_place_of_the_results(inputs: CaseInputs, tmp_path: Path) -> None:
    run = RunLayout(tmp_path / "run")
    run.root.mkdir()
    head = HeadConfig.from_head(MALIGNANCY).model_dump_json()
    run.config_json.write_text(f'{{"heads": [{head}]}}')
    lines = ["slide_id,patient_id,fold,truth,score,flagged,call", "a1,a,1,negative,0.6,1,", "a2,a,1,positive,0.3,0,",
             "b1,b,2,negative,0.1,0,"]  # fmt: skip
    run.out_of_fold_slides_csv.write_text("\n".join(lines) + "\n")
    table, _ = read_case_table(with_(inputs, out_of_fold=run.root))
    np.testing.assert_allclose(table.numbers["slide_score"], [*logits([0.6, 0.1]), np.nan])
    with pytest.raises(UserError, match="expected a run folder"):
        read_case_table(with_(inputs, out_of_fold=tmp_path))
