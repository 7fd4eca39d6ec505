"""The gain of a second block of columns is recovered where it is known, and none is found where there is none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from case_model.conftest import MakeCases, true_auc
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from inkdot.case_model.case_table import CaseTable
from inkdot.case_model.evaluate_arms import ArmsEvaluation, evaluate_arms
from inkdot.case_model.fit import FitSettings, fit_logistic, folds_of
from inkdot.case_model.nested import nested_cross_validation
from inkdot.case_model.sample_size import require_enough
from inkdot.errors import UserError


def evaluated(table: CaseTable) -> ArmsEvaluation:
    oof = nested_cross_validation(table, FitSettings(inner_folds=2), folds=3)
    return evaluate_arms(table, oof.probabilities, Path("cases.csv"), folds=oof.folds, replicates=300)


def test_a_true_gain_is_recovered(make_cases: MakeCases) -> None:
    found = evaluated(make_cases(200, 1.0, 1.5, missing=0.0))
    expected = true_auc(1.0, 1.5) - true_auc(1.0)
    over_image, over_case = found.gains
    gain = over_image.differences["auc.case.positive"]
    assert gain is not None
    assert gain.low is not None
    assert gain.high is not None
    assert 0.0 < gain.low < expected < gain.high
    assert over_image.delong is not None
    assert over_image.delong.p < 0.001
    assert over_case.differences["auc.case.positive"] is not None
    slope = found.calibration["image + case"]["calibration_slope.case"]
    assert slope is not None
    assert slope.low < 1.0 < slope.high


def test_columns_of_noise_gain_nothing(make_cases: MakeCases) -> None:
    found = evaluated(make_cases(120, 1.0, 0.0, missing=0.3))
    gain = found.gains[0].differences["auc.case.positive"]
    assert gain is not None
    assert gain.low is not None
    assert gain.low < 0.0
    assert abs(gain.value) < 0.08
    alone = found.metrics_of("case")["auc.case.positive"]
    assert alone.low < 0.5 < alone.high


def test_names_on_synthetic_slides_say_so(make_cases: MakeCases) -> None:
    table = replace(make_cases(60, 1.0, 1.0), synthetic=True)
    found = evaluate_arms(
        table,
        {arm: np.linspace(0.9, 0.1, 60) for arm in ("image", "case", "image + case")},
        Path("cases.csv"),
        replicates=20,
    )
    assert str(found.gains[0].differences["selftest_auc.case.positive"]).startswith("+0.000")
    names = [*found.metrics_of("image"), *found.gains[0].differences]
    assert all(name.startswith("selftest_") for name in names)


def test_a_fit_is_the_penalised_regression_of_scikit_learn(make_cases: MakeCases) -> None:
    table = make_cases(120, 1.0, 1.0, missing=0.2)
    columns = list(table.blocks)
    model = fit_logistic(table, columns, FitSettings(inner_folds=3, refits=5))
    design = model.encoding.design(table)
    reference = LogisticRegression(C=model.c, tol=1e-10, max_iter=5000).fit(design, table.positive)
    np.testing.assert_allclose(model.coefficients, reference.coef_[0], atol=1e-3)
    margins = reference.decision_function(design)
    np.testing.assert_allclose(model.logits(table), model.intercept + model.slope * margins, atol=1e-3)
    assert roc_auc_score(table.positive, model.probabilities(table)) > 0.8
    assert model.replicate_probabilities(table).shape == (5, 120)


def test_patients_stay_together_in_every_fold(make_cases: MakeCases) -> None:
    table = make_cases(90, 1.0, 1.0)
    table = replace(table, patients=np.array([f"p{row // 3}" for row in range(90)]))
    folds = folds_of(table, 5, 0)
    assert all(len(set(folds[table.patients == name])) == 1 for name in set(table.patients.tolist()))
    assert np.bincount(folds).min() >= 15


def test_a_case_does_not_shape_its_own_score(make_cases: MakeCases) -> None:
    table = make_cases(80, 1.0, 1.0)
    settings = FitSettings(inner_folds=2)
    before = nested_cross_validation(table, settings, folds=2)
    changed = {name: values.copy() for name, values in table.numbers.items()}
    other = int(np.flatnonzero(before.folds == 0)[0])
    changed["protein"][other] = 50.0
    after = nested_cross_validation(replace(table, numbers=changed), settings, folds=2)
    same_fold = (before.folds == 0) & (np.arange(80) != other)
    np.testing.assert_array_equal(
        before.probabilities["image + case"][same_fold], after.probabilities["image + case"][same_fold]
    )
    assert not np.array_equal(
        before.probabilities["image + case"][before.folds == 1],
        after.probabilities["image + case"][before.folds == 1],
    )


def test_too_few_patients_are_refused_with_what_is_needed(make_cases: MakeCases) -> None:
    with pytest.raises(
        UserError, match=r"at least 20 positive and 20 negative patients .* found 16 and 24; add patients"
    ):
        require_enough(make_cases(40, 1.0, 1.0), FitSettings(), "cases.csv")
    many = make_cases(60, 1.0, 1.0)  # 24 positive
    require_enough(many, FitSettings(), "cases.csv")
    wide = replace(
        many,
        numbers={**many.numbers, "ph": many.numbers["score"]},
        blocks={**many.blocks, "ph": "case"},
    )
    with pytest.raises(
        UserError, match=r"at least 25 positive .* 5 terms .* found 24 and 36; .* would do for 4 terms"
    ):
        require_enough(wide, FitSettings(), "cases.csv")
