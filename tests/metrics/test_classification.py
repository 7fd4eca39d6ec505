"""What scikit-learn does not have, or does otherwise; the rest is in test_against_scikit_learn.py."""

import math

import numpy as np
import pytest

from inkdot.metrics.classification import (
    average_precision,
    balanced_accuracy,
    expected_calibration_error,
    log_loss,
    roc_auc,
)


def test_a_missing_class_gives_nan():
    assert math.isnan(roc_auc(np.array([True, True]), [0.1, 0.2]))
    assert math.isnan(roc_auc(np.zeros(0, bool), []))
    assert math.isnan(average_precision(np.array([False, False]), [0.1, 0.2]))


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match="without NaN"):
        roc_auc(np.array([True, False]), [0.5, math.nan])


def test_log_loss_is_the_mean_cross_entropy_of_soft_targets():
    targets = [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    probabilities = [[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]]
    by_hand = [-math.log(0.8), -0.5 * math.log(0.6) - 0.5 * math.log(0.4), -math.log(0.7)]
    assert log_loss(targets, probabilities) == pytest.approx(sum(by_hand) / 3)
    assert log_loss(targets, probabilities, [1, 0, 3]) == pytest.approx((by_hand[0] + 3 * by_hand[2]) / 4)
    assert math.isfinite(log_loss([[1.0, 0.0]], [[0.0, 1.0]]))


def test_balanced_accuracy_of_a_class_without_weight_is_nan():
    assert math.isnan(balanced_accuracy([0, 1], [0, 1], [1, 0]))


@pytest.mark.parametrize("seed", range(4))
def test_calibration_error_agrees_with_binning_row_by_row(seed):
    generator = np.random.default_rng(seed)
    raw = generator.random((200, 3)) ** 3
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    targets = np.eye(3)[generator.integers(0, 3, 200)]
    weights = generator.random(200)
    error = 0.0
    for k in range(15):
        inside = [i for i in range(200) if k / 15 < probabilities[i].max() <= (k + 1) / 15]
        if inside:
            mass = sum(weights[i] for i in inside)
            confidence = sum(weights[i] * probabilities[i].max() for i in inside) / mass
            right = sum(weights[i] * targets[i][probabilities[i].argmax()] for i in inside) / mass
            error += mass / weights.sum() * abs(confidence - right)
    assert expected_calibration_error(targets, probabilities, weights) == pytest.approx(error)


def test_calibration_error_of_certain_scores_is_0_when_right_and_1_when_wrong():
    assert expected_calibration_error(np.eye(3), np.eye(3)) == 0.0
    assert expected_calibration_error(np.eye(2)[::-1], np.eye(2)) == 1.0
