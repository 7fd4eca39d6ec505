"""Slope and intercept of recalibration, against scikit-learn without a penalty."""

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from inkdot.metrics.recalibration import fit_recalibration, platt_targets


@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
def test_slope_and_intercept_are_those_of_scikit_learn(scale: float) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=150)
    truth = generator.random(150) < expit(1.7 * logits - 0.6)
    weights = generator.integers(0, 4, 150).astype(float)
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        logits[:, None], truth, sample_weight=weights
    )
    found = fit_recalibration(logits * scale, truth, weights)
    assert found.slope * scale == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert found.intercept == pytest.approx(reference.intercept_[0], rel=1e-3)
    np.testing.assert_allclose(
        found.logits(logits * scale), reference.decision_function(logits[:, None]), atol=1e-3
    )


def test_a_slope_undoes_scores_that_are_too_extreme() -> None:
    generator = np.random.default_rng(1)
    honest = generator.normal(size=20_000)
    truth = generator.random(20_000) < expit(honest)
    found = fit_recalibration(3.0 * honest + 0.5, truth)
    assert found.slope == pytest.approx(1 / 3, abs=0.02)
    assert found.intercept == pytest.approx(-0.5 / 3, abs=0.05)


def test_what_has_no_best_slope_is_not_a_number() -> None:
    logits, truth = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True])
    for found in (
        fit_recalibration(logits, truth),  # separated
        fit_recalibration(np.ones(4), truth),
        fit_recalibration(logits, np.ones(4)),
        fit_recalibration(logits, truth, np.zeros(4)),
        fit_recalibration(logits, truth, np.array([1.0, 1.0, 0.0, 0.0])),
    ):
        assert math.isnan(found.slope)
        assert math.isnan(found.intercept)


def test_shrunk_targets_keep_the_slope_of_separated_scores_finite() -> None:
    logits, truth = np.array([-1.0, -1.0, -1.0, 1.0, 1.0]), np.array([False, False, False, True, True])
    targets = platt_targets(truth)
    np.testing.assert_allclose(targets, [1 / 5, 1 / 5, 1 / 5, 3 / 4, 3 / 4])
    found = fit_recalibration(logits, targets)
    np.testing.assert_allclose(found.logits([-1.0, 1.0]), logit([1 / 5, 3 / 4]), atol=1e-6)
