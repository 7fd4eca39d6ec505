"""`inkdot case-model` from the table to the report, and on other patients."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from inkdot.case_model.read_tables import CaseInputs
from inkdot.errors import UserError
from inkdot.stages import case_model as stage
from inkdot.storage.output_layouts import CaseModelLayout

COLUMNS = ["csf_protein_g_per_l", "mri"]


def write_cases(path: Path, count: int, seed: int) -> CaseInputs:
    generator = np.random.default_rng(seed)
    rows = ["patient_id,csf_protein_g_per_l,mri,outcome,score"]
    for row in range(count):
        positive = row % 5 < 2
        protein = np.exp(0.6 * generator.normal() + 0.9 * positive - 0.7)
        text = "" if row % 4 == 3 else f"{np.clip(protein, 0.06, 19):.2f}"
        mri = generator.choice(["normal", "linear"], p=[0.4, 0.6] if positive else [0.7, 0.3])
        outcome = "positive" if positive else "negative"
        rows.append(f"p{seed}-{row},{text},{mri},{outcome},{generator.normal() + 1.2 * positive:.3f}")
    path.write_text("\n".join(rows) + "\n")
    return CaseInputs(path, COLUMNS, ["score"], truth="outcome")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> CaseModelLayout:
    folder = tmp_path_factory.mktemp("case-model")
    options = stage.TrainOptions(folds=2, refits=20, replicates=200)
    assert stage.train(write_cases(folder / "cases.csv", 75, 1), folder / "out", options) == 0
    return CaseModelLayout(folder / "out")


def test_training_writes_a_model_and_its_report(trained: CaseModelLayout) -> None:
    facts = json.loads(trained.evaluation.read_text(encoding="utf-8"))
    with trained.cases_csv.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    truth = [row["truth"] == "positive" for row in rows]
    for arm in ("image", "case", "image + case"):
        expected = roc_auc_score(truth, [float(row[f"p.{arm}"]) for row in rows])
        assert facts["metrics"][arm]["auc.case.positive"]["value"] == pytest.approx(expected, abs=1e-4)
    assert {row["fold"] for row in rows} == {"1", "2"}
    gain = facts["gains"]["image"]["differences"]["auc.case.positive"]
    both, image = (facts["metrics"][arm]["auc.case.positive"]["value"] for arm in ("image + case", "image"))
    assert gain["value"] == pytest.approx(both - image)
    assert gain["low"] < gain["value"] < gain["high"]
    report = trained.report.read_text(encoding="utf-8")
    assert "30 positive, 45 negative" in report
    assert "| csf_protein_g_per_l missing |" in report
    assert "| csf_protein_g_per_l | 2" in report  # share of missing values, with its interval
    assert "trained without its patient" in report
    assert "held the true gain in 86 %" in report
    assert trained.plot.read_text(encoding="utf-8").startswith("<svg")


def test_other_patients_are_evaluated_and_predicted(trained: CaseModelLayout, tmp_path: Path) -> None:
    others = write_cases(tmp_path / "others.csv", 60, 2)
    assert stage.evaluate(trained.model, others, tmp_path / "evaluated", replicates=200) == 0
    evaluated = CaseModelLayout(tmp_path / "evaluated")
    with evaluated.cases_csv.open(newline="") as stream:
        rows = {row["case"]: row for row in csv.DictReader(stream)}
    assert stage.predict(trained.model, others, tmp_path / "predicted") == 0
    with CaseModelLayout(tmp_path / "predicted").predictions_csv.open(newline="") as stream:
        predicted = list(csv.DictReader(stream))
    assert len(predicted) == 60
    for row in predicted:
        assert float(row["probability"]) == pytest.approx(
            float(rows[row["case"]]["p.image + case"]), abs=1e-4
        )
        assert float(row["low"]) <= float(row["probability"]) <= float(row["high"])
    report = evaluated.report.read_text(encoding="utf-8")
    assert "by the finished model" in report
    assert "held the true gain" not in report  # the model is fixed: patients are all that varies


def test_a_case_without_a_probability_is_listed_and_ends_with_one(
    trained: CaseModelLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = write_cases(tmp_path / "others.csv", 12, 3)
    text = others.cases.read_text().replace(",linear,", ",nodular,", 1)
    others.cases.write_text(text)
    assert stage.predict(trained.model, others, tmp_path / "predicted") == 1
    assert "11 cases with a probability, 1 without" in capsys.readouterr().err


def test_too_few_cases_and_wrong_columns_are_one_line(trained: CaseModelLayout, tmp_path: Path) -> None:
    few = write_cases(tmp_path / "few.csv", 25, 4)
    with pytest.raises(
        UserError,
        match=r"few\.csv: expected at least 20 positive and 20 negative patients .* found 10 and 15",
    ):
        stage.train(few, tmp_path / "out", stage.TrainOptions())
    with pytest.raises(
        UserError, match="log: expected columns of numbers of 0 or more that the model uses, found mri"
    ):
        stage.train(few, tmp_path / "out", stage.TrainOptions(log=["mri"]))
    assert not (tmp_path / "out").exists()
    (tmp_path / "none.csv").write_text("patient_id,score\np,1\n")
    with pytest.raises(
        UserError,
        match=r"none\.csv: expected the column csf_protein_g_per_l of the model, found none; add it",
    ):
        stage.predict(trained.model, CaseInputs(tmp_path / "none.csv", (), ()), tmp_path / "out")
