"""Published models: computed as scikit-learn and NumPy do, refused while empty, without a number where a predictor is missing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from inkdot.cases.case_record import Case
from inkdot.cases.model_probability import probability_of
from inkdot.cases.published_models import (
    TEMPLATES,
    PublishedModel,
    read_published_model,
    require_complete,
    template_text,
)
from inkdot.errors import ConfigError

HEADER: Mapping[str, Any] = {
    "format": "inkdot.published-model/1",
    "name": "test model",
    "outcome": "metastasis",
    "source": "a made-up model of the tests",
    "population": "nobody",
    "validation": "none",
    "coefficients_from": "the test",
}
LOGISTIC: Mapping[str, Any] = {
    **HEADER,
    "kind": "logistic",
    "intercept": -1.5,
    "predictors": [
        {"name": "protein", "column": "csf_protein_g_per_l", "unit": "g/L", "transform": "log", "coefficient": 1.25},
        {"name": "low glucose", "column": "csf_glucose_mmol_per_l", "unit": "mmol/L", "above": 2.0, "coefficient": -0.75},
        {"name": "MRI", "column": "mri", "coding": {"normal": 0, "linear": 1, "nodular": 2}, "coefficient": 0.5},
        {"name": "organs", "column": "organs", "range": [0, 5], "coefficient": 0.25},
    ],
}  # fmt: skip
NOMOGRAM: Mapping[str, Any] = {
    **HEADER,
    "kind": "nomogram",
    "predictors": [
        {"name": "protein", "column": "csf_protein_g_per_l", "unit": "g/L", "axis": [[0, 0], [1, 40], [4, 100]]},
        {"name": "signs", "column": "typical_signs", "coding": {"no": 0, "yes": 30}},
    ],
    "total": [[20, 0.1], [60, 0.5], [120, 0.9]],
}  # fmt: skip


def model_of(tmp_path: Path, data: Mapping[str, Any]) -> PublishedModel:
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump(dict(data)), encoding="utf-8")
    return read_published_model(path)


def case_with(**values: Any) -> Case:
    extra = {name: values.pop(name) for name in ("organs",) if name in values}
    return Case("", "P", **values, extra=extra)


def test_a_logistic_model_is_that_of_scikit_learn(tmp_path: Path) -> None:
    reference = LogisticRegression()
    reference.classes_, reference.intercept_ = np.array([0, 1]), np.array([-1.5])
    reference.coef_ = np.array([[1.25, -0.75, 0.5, 0.25]])
    model = model_of(tmp_path, LOGISTIC)
    rows = [
        (0.75, 1.72, "normal", 2),
        (0.75, 2.0, "normal", 1),
        (0.75, 3.1, "nodular", 0),
        (18.0, 0.0, "linear", 5),
        (0.1, 24.0, "normal", 0),
    ]
    for protein, glucose, mri, organs in rows:
        case = case_with(
            csf_protein_g_per_l=protein, csf_glucose_mmol_per_l=glucose, mri=mri, organs=str(organs)
        )
        coded = [np.log(protein), float(glucose > 2), {"normal": 0, "linear": 1, "nodular": 2}[mri], organs]
        found = probability_of(model, case)
        assert found.probability == pytest.approx(reference.predict_proba(np.array([coded]))[0, 1], abs=1e-12)
        assert (found.missing, found.notes) == ((), ())


def test_a_nomogram_is_read_by_straight_lines(tmp_path: Path) -> None:
    model = model_of(tmp_path, NOMOGRAM)
    for protein in (0.05, 0.6, 1.0, 2.5, 4.0):
        found = probability_of(model, case_with(csf_protein_g_per_l=protein, typical_signs="yes"))
        points = np.interp(protein, [0, 1, 4], [0, 40, 100]) + 30
        assert found.probability == pytest.approx(np.interp(points, [20, 60, 120], [0.1, 0.5, 0.9]))
    low = probability_of(model, case_with(csf_protein_g_per_l=0.1, typical_signs="no"))
    assert (low.probability, low.notes) == (0.1, ("4 points are below the axis: at most 0.1",))
    high = probability_of(model, case_with(csf_protein_g_per_l=4.0, typical_signs="yes"))
    assert (high.probability, high.notes) == (0.9, ("130 points are above the axis: at least 0.9",))
    beyond = probability_of(model, case_with(csf_protein_g_per_l=4.1, typical_signs="yes"))
    assert (beyond.probability, beyond.missing) == (None, ("protein: 4.1 is beyond the axis, 0 to 4",))


def test_missing_predictors_are_said_and_never_filled_in(tmp_path: Path) -> None:
    model = model_of(tmp_path, LOGISTIC)
    found = probability_of(model, case_with(csf_protein_g_per_l=0.5, mri="not_done", organs="many"))
    assert found.probability is None
    assert found.missing == (
        "low glucose: column csf_glucose_mmol_per_l is blank or missing",
        "MRI: column mri has a word that the model does not code",
        "organs: column organs holds no number",
    )
    far = probability_of(
        model, case_with(csf_protein_g_per_l=0.5, csf_glucose_mmol_per_l=3.0, mri="normal", organs="9")
    )
    assert far.probability is not None
    assert far.notes == ("organs: 9 is beyond the publication's 0 to 5",)
    assert probability_of(model, case_with()).missing[0].startswith("protein: column csf_protein_g_per_l")
    for text in ("nan", "inf", "1e3"):
        assert (
            "organs: column organs holds no number" in probability_of(model, case_with(organs=text)).missing
        )


def test_zero_has_no_logarithm(tmp_path: Path) -> None:
    predictor = {"name": "x", "column": "organs", "transform": "log2", "coefficient": 1.0}
    model = model_of(tmp_path, {**HEADER, "kind": "logistic", "intercept": 0.0, "predictors": [predictor]})
    for text in ("0", "-1"):
        assert probability_of(model, case_with(organs=text)).missing == (f"x: {text} has no logarithm",)
    assert probability_of(model, case_with(organs="1")).probability == 0.5


def test_extreme_values_give_a_probability(tmp_path: Path) -> None:
    predictor = {"name": "x", "column": "organs", "coefficient": 1e9}
    model = model_of(tmp_path, {**HEADER, "kind": "logistic", "intercept": 0, "predictors": [predictor]})
    assert probability_of(model, case_with(organs="999999999999")).probability == 1.0
    assert probability_of(model, case_with(organs="-999999999999")).probability == 0.0


@pytest.mark.parametrize(
    ("name", "auc", "patients"), [(TEMPLATES[0], 0.812, 206), (TEMPLATES[1], 0.901, 152)]
)
def test_the_models_of_gao_come_without_coefficients(
    tmp_path: Path, name: str, auc: float, patients: int
) -> None:
    path = tmp_path / name
    path.write_text(template_text(name), encoding="utf-8")
    model = read_published_model(path)
    assert model.published[0].value == auc
    assert f"made on {patients} patients" in model.caution
    assert model.caution.startswith("validated internally only; published: AUC")
    assert "one centre" in model.caution
    assert model.intercept is None
    assert all(predictor.coefficient is None for predictor in model.predictors)
    with pytest.raises(
        ConfigError, match=r"expected numbers, found none for: coefficient of skull metastasis, .*intercept"
    ):
        require_complete(model, name)
    with pytest.raises(ConfigError, match="fill them in from the publication or its authors"):
        probability_of(model, case_with())


def test_a_filled_in_template_needs_its_provenance_and_units(tmp_path: Path) -> None:
    data = yaml.safe_load(template_text(TEMPLATES[1]))
    for predictor in data["predictors"]:
        predictor["coefficient"] = 0.1
    data["intercept"] = -1.0
    assert model_of(tmp_path, data).empty == ("unit of CSF protein", "unit of CSF glucose")
    data["predictors"][-2]["unit"], data["predictors"][-1]["unit"] = "g/L", "mmol/L"
    with pytest.raises(ConfigError, match="coefficients_from: expected where the numbers are from"):
        model_of(tmp_path, data)
    data["coefficients_from"] = "table 3"
    assert model_of(tmp_path, data).empty == ()


def test_a_model_may_be_json(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(LOGISTIC, indent=1), encoding="utf-8")
    assert read_published_model(path) == model_of(tmp_path, LOGISTIC)


def _changed(**values: Any) -> dict[str, Any]:
    return {**LOGISTIC, **values}


def _predictor(**values: Any) -> dict[str, Any]:
    return {**LOGISTIC, "predictors": [{"name": "x", "column": "organs", "coefficient": 1.0, **values}]}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (_changed(intercep=1.0), "intercep: unknown key; did you mean 'intercept'"),
        (_changed(intercept="1"), "intercept: expected a valid number, found '1'"),
        (_changed(intercept=1e12), "intercept: expected less than or equal to 1000000000"),
        (_changed(validation="good"), "validation: expected 'none', 'internal' or 'external'"),
        (_changed(total=[[0, 0.1], [1, 0.2]]), "kind: found logistic, but axis and total belong to a nomogram"),
        (_changed(format="inkdot.published-model/2"), "format: expected 'inkdot.published-model/1'"),
        (_predictor(column="csf_protein_g_per_l", unit="mg/dL"), "unit: expected g/L, .* found mg/dL; convert it"),
        (_predictor(column="mri"), "coding: expected a number for words of column mri"),
        (_predictor(column="mri", coding={"clear": 1}), "coding: expected a number for words of column mri"),
        (_predictor(column="ihc"), "column: expected one with numbers or single words"),
        (_predictor(coding={True: 1}), 'write "yes" and "no" in quotes'),
        (_predictor(range=[3, 1]), "range: expected rising numbers"),
        ({**NOMOGRAM, "total": [[0, 0.5], [1, 0.2]]}, "total: expected rising points and rising probabilities"),
        ({**NOMOGRAM, "total": [[0, 0.5], [1, 1.2]]}, "total: expected probabilities from 0 to 1"),
        ({**NOMOGRAM, "intercept": 0.0}, "coefficient and intercept belong to a logistic model"),
    ],
)  # fmt: skip
def test_model_files_are_strict(tmp_path: Path, data: Mapping[str, Any], found: str) -> None:
    with pytest.raises(ConfigError, match=found) as raised:
        model_of(tmp_path, data)
    assert "\n" not in str(raised.value)
