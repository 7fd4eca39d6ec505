"""`case_model.json` says all that a prediction needs, and is refused where it was changed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from case_model.conftest import MakeCases
from scipy.special import expit

from inkdot.case_model.case_model_file import read_case_model, write_case_model
from inkdot.case_model.case_table import ARMS, CaseTable, blocks_of
from inkdot.case_model.fit import FitSettings, fit_logistic
from inkdot.case_model.predict_cases import predict_cases, predictions_csv
from inkdot.case_model.records import CaseModelFile
from inkdot.case_model.report import odds_ratios
from inkdot.errors import StorageError

SETTINGS = FitSettings(inner_folds=2, curves=True, refits=20)


@pytest.fixture(scope="module")
def cases(make_cases: MakeCases) -> CaseTable:
    return make_cases(60, 1.0, 1.0, missing=0.2)


@pytest.fixture(scope="module")
def model(cases: CaseTable) -> CaseModelFile:
    return CaseModelFile(
        inkdot="0",
        synthetic=False,
        truth="outcome",
        prevalence=0.4,
        cases=60,
        patients=60,
        positive_patients=24,
        blocks=dict(cases.blocks),
        outer_folds=5,
        inner_folds=2,
        seed=0,
        missing=[],
        cross_validation={arm: {} for arm in ARMS},
        arms={arm: fit_logistic(cases, cases.columns_of(blocks_of(arm)), SETTINGS) for arm in ARMS},
    )


def test_a_model_read_back_predicts_the_same(tmp_path: Path, model: CaseModelFile, cases: CaseTable) -> None:
    path = tmp_path / "case_model.json"
    digest = write_case_model(path, model)
    found, read_digest = read_case_model(path)
    assert (found, read_digest) == (model, digest)
    for arm in ARMS:
        np.testing.assert_array_equal(
            found.arms[arm].probabilities(cases), model.arms[arm].probabilities(cases)
        )


def test_a_probability_follows_from_the_numbers_of_the_file(
    tmp_path: Path, model: CaseModelFile, cases: CaseTable
) -> None:
    path = tmp_path / "case_model.json"
    write_case_model(path, model)
    image = json.loads(path.read_text(encoding="utf-8"))["arms"]["image"]
    (column,) = image["encoding"]["columns"]
    first, middle, last = column["knots"]
    x = cases.numbers["score"]
    curve = (
        np.maximum(x - first, 0) ** 3
        - np.maximum(x - middle, 0) ** 3 * (last - first) / (last - middle)
        + np.maximum(x - last, 0) ** 3 * (middle - first) / (last - middle)
    ) / (last - first) ** 2
    margin = image["bias"]
    for values, coefficient, scale in zip(
        (x, curve), image["coefficients"], image["encoding"]["scales"], strict=True
    ):
        margin = margin + coefficient * (values - scale["mean"]) / scale["sd"]
    expected = expit(image["intercept"] + image["slope"] * margin)
    np.testing.assert_allclose(model.arms["image"].probabilities(cases), expected, rtol=1e-10)


def test_a_changed_or_damaged_file_is_refused(tmp_path: Path, model: CaseModelFile) -> None:
    path = tmp_path / "case_model.json"
    write_case_model(path, model)
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    changed = json.loads(text)
    changed["arms"]["image"]["bias"] += 0.5
    more = {**content, "code": "import os"}
    for wrong, message in (
        (json.dumps(changed), "content of its sha256, found another"),
        (json.dumps(more), "content of its sha256, found another"),
        (
            json.dumps({**content, "version": "inkdot.case_model/9"}),
            r"version inkdot.case_model/1, found 'inkdot.case_model/9'",
        ),
        (text.replace('"prevalence": 0.4', '"prevalence": NaN'), "found another"),
        ("[]", "found no object"),
        ("{", "case model in JSON, found"),
    ):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(StorageError, match=message):
            read_case_model(path)
    with pytest.raises(StorageError, match="No such file"):
        read_case_model(tmp_path / "gone.json")


def test_numbers_that_do_not_fit_are_refused_under_their_own_hash(
    tmp_path: Path, model: CaseModelFile
) -> None:
    path = tmp_path / "case_model.json"
    short = model.arms["image"].model_copy(update={"coefficients": [1.0]})
    write_case_model(path, model.model_copy(update={"arms": {**model.arms, "image": short}}))
    with pytest.raises(
        StorageError, match=r"arms\.image: .*expected one for each of 2 terms, found 1; train again"
    ):
        read_case_model(path)


def test_a_case_that_cannot_be_predicted_stops_no_other(model: CaseModelFile, cases: CaseTable) -> None:
    own = cases.of(np.arange(4))
    own.numbers["score"][1] = np.nan
    own.numbers["protein"][:3] = [999.0, 0.5, np.nan]
    own.categories["mri"][:] = ["normal", "normal", "linear", "abscess"]
    outside, no_slide, missing, unknown = predict_cases(model, own)
    assert outside.probability is not None
    assert outside.warnings[0].startswith("protein 999 is outside of the ")
    assert (no_slide.probability, no_slide.low) == (None, None)
    assert no_slide.reason == "no value in any of the columns score: no slide with a score"
    assert missing.missing == ("protein",)
    assert missing.low is not None
    assert missing.high is not None
    assert missing.probability is not None
    assert missing.low <= missing.probability <= missing.high
    assert unknown.reason == "mri 'abscess' was never seen in training"
    lines = predictions_csv([outside, no_slide, missing, unknown], "ab").splitlines()
    assert len(lines) == 5
    assert lines[2].startswith("c1,p1,,,,score,,no value in any")


def test_odds_ratios_have_the_interval_of_the_refits(model: CaseModelFile) -> None:
    both = model.arms["image + case"]
    ratios = {term: (ratio, low, high) for term, ratio, low, high in odds_ratios(both)}
    index = [scale.term for scale in both.encoding.scales].index("score")
    refits = both.slope * np.array(both.replicates)[:, 1 + index]
    assert ratios["score"] == pytest.approx(
        tuple(np.exp([both.slope * both.coefficients[index], *np.quantile(refits, [0.025, 0.975])]))
    )


def test_the_interval_of_a_prediction_is_narrower_for_more_patients(make_cases: MakeCases) -> None:
    widths: list[float] = []
    for count in (40, 400):
        table = make_cases(count, 1.0, 1.0)
        own = fit_logistic(table, ["score"], replace(SETTINGS, curves=False))
        low, high = np.quantile(own.replicate_probabilities(table.of(np.arange(20))), [0.025, 0.975], axis=0)
        widths.append(float((high - low).mean()))
    assert widths[1] < 0.6 * widths[0]
