"""Net benefit by hand, against scikit-learn's counts, and intervals that hold the truth."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from inkdot.metrics.decision_curve import (
    cost_of_false_positive,
    decision_curve,
    net_benefit,
    net_benefit_at_prevalence,
)
from inkdot.metrics.intervals.confidence_intervals import Estimate


def test_a_case_by_hand() -> None:
    """Of ten, three true and two false positives; at 20 % a false positive costs a quarter."""
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], np.bool_)
    called = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0], np.bool_)
    assert net_benefit(truth, called, 0.2) == pytest.approx(0.3 - 0.2 * 0.25)
    assert net_benefit(truth, np.ones(10, np.bool_), 0.2) == pytest.approx(0.4 - 0.6 * 0.25)
    assert net_benefit(truth, np.zeros(10, np.bool_), 0.2) == 0.0
    assert np.isnan(net_benefit(truth[:0], called[:0], 0.2))


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1])
def test_a_threshold_probability_lies_between_0_and_1(wrong: float) -> None:
    with pytest.raises(ValueError, match="expected threshold probabilities"):
        cost_of_false_positive(wrong)


def test_the_curve_is_that_of_scikit_learns_counts() -> None:
    generator = np.random.default_rng(3)
    truth = generator.random(80) < 0.4
    scores = np.clip(generator.normal(np.where(truth, 0.6, 0.4), 0.2), 0, 1)
    patients = np.array([f"p{row // 2}" for row in range(80)])
    thresholds = np.array([0.1, 0.35, 0.5, 0.8])
    curve = decision_curve(truth, scores, patients, thresholds)
    for index, threshold in enumerate(thresholds):
        (_, false), (_, true) = confusion_matrix(truth, scores >= threshold)
        expected = true / 80 - false / 80 * threshold / (1 - threshold)
        assert curve.model[index] == pytest.approx(expected)
        assert curve.low[index] < expected < curve.high[index]
        assert curve.flag_all[index] == pytest.approx(
            net_benefit(truth, np.ones(80, np.bool_), float(threshold))
        )


def test_a_row_at_the_threshold_is_flagged() -> None:
    truth = np.array([True, False] * 3)
    curve = decision_curve(
        truth, np.where(truth, 0.5, 0.4), np.array([f"p{n}" for n in range(6)]), np.array([0.5])
    )
    assert curve.model[0] == pytest.approx(0.5)


def test_without_three_patients_of_a_class_there_is_no_interval() -> None:
    truth = np.array([True, True, False, False, False])
    curve = decision_curve(truth, np.linspace(1, 0, 5), np.array(list("abcde")), np.array([0.5]))
    assert np.isnan(curve.low).all()
    assert np.isnan(curve.high).all()
    assert not np.isnan(curve.model).any()


def test_the_interval_holds_the_true_net_benefit() -> None:
    """True values: 40 % positive, sensitivity 0.8, specificity 0.7, at a threshold probability of 0.3."""
    expected = 0.4 * 0.8 - 0.6 * 0.3 * 0.3 / 0.7
    generator, held = np.random.default_rng(0), 0
    patients = np.array([f"p{n}" for n in range(60)])
    for _ in range(120):
        truth = generator.random(60) < 0.4
        right = generator.random(60) < np.where(truth, 0.8, 0.7)
        scores = np.where(truth == right, 0.9, 0.1)
        curve = decision_curve(truth, scores, patients, np.array([0.3]), replicates=200)
        held += bool(curve.low[0] <= expected <= curve.high[0])
    assert 0.90 <= held / 120 <= 0.99


def test_net_benefit_at_another_prevalence_by_hand() -> None:
    sensitivity, specificity = Estimate(0.9, 0.7, 0.97, "x"), Estimate(0.8, 0.6, 0.9, "x")
    own = net_benefit_at_prevalence(sensitivity, specificity, 0.05, 0.1)
    value = 0.05 * 0.9 - 0.95 * 0.2 / 9
    assert own.value == pytest.approx(value)
    assert own.low == pytest.approx(value - np.hypot(0.05 * 0.2, 0.95 * 0.2 / 9))
    assert own.high == pytest.approx(value + np.hypot(0.05 * 0.07, 0.95 * 0.1 / 9))
