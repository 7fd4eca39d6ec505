"""Every metric against a brute-force computation that shares no code with it."""

import itertools
import math

import numpy as np
import pytest

from inkdot.metrics.classification import (
    average_precision,
    balanced_accuracy,
    expected_calibration_error,
    log_loss,
    roc_auc,
    sensitivity_specificity,
)


def pairwise_auc(truth, scores, weights):
    """Mann and Whitney's definition, pair by pair."""
    won = total = 0.0
    for i, j in itertools.product(range(len(truth)), repeat=2):
        if truth[i] and not truth[j]:
            pair = weights[i] * weights[j]
            total += pair
            won += pair * (1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0)
    return won / total


def stepwise_average_precision(truth, scores, weights):
    """Sum over distinct thresholds of (recall gained) × precision."""
    area = last_recall = 0.0
    positives = sum(w for w, t in zip(weights, truth, strict=True) if t)
    for threshold in sorted(set(scores), reverse=True):
        called = [(w, t) for w, t, s in zip(weights, truth, scores, strict=True) if s >= threshold]
        hit = sum(w for w, t in called if t)
        recall = hit / positives
        area += (recall - last_recall) * hit / sum(w for w, _ in called)
        last_recall = recall
    return area


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weighted", [False, True])
def test_ranking_metrics_agree_with_their_definitions_ties_included(seed, weighted):
    generator = np.random.default_rng(seed)
    truth = generator.random(60) < 0.3
    scores = generator.integers(0, 12, 60) / 11  # many ties
    weights = generator.integers(1, 4, 60).astype(float) if weighted else np.ones(60)
    given = weights if weighted else None
    assert roc_auc(truth, scores, given) == pytest.approx(pairwise_auc(truth, scores, weights), abs=1e-12)
    assert average_precision(truth, scores, given) == pytest.approx(
        stepwise_average_precision(truth.tolist(), scores.tolist(), weights.tolist()), abs=1e-12
    )


def test_a_weight_of_two_is_a_row_given_twice():
    truth = np.array([True, False, True, False])
    scores = np.array([0.9, 0.8, 0.3, 0.1])
    twice = np.array([0, 1, 1, 2, 3])
    assert roc_auc(truth, scores, [1, 2, 1, 1]) == pytest.approx(roc_auc(truth[twice], scores[twice]))
    assert average_precision(truth, scores, [1, 2, 1, 1]) == pytest.approx(
        average_precision(truth[twice], scores[twice])
    )


def test_a_missing_class_is_nan_not_a_guess():
    assert math.isnan(roc_auc(np.array([True, True]), [0.1, 0.2]))
    assert math.isnan(roc_auc(np.zeros(0, bool), []))
    assert math.isnan(average_precision(np.array([False, False]), [0.1, 0.2]))
    both = sensitivity_specificity(np.array([True, True]), [0.1, 0.2], 0.15)
    assert both.sensitivity == 0.5
    assert math.isnan(both.specificity)


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match="without NaN"):
        roc_auc(np.array([True, False]), [0.5, math.nan])


def test_sensitivity_and_specificity_count_the_threshold_itself_as_called():
    truth = np.array([True, True, True, True, False, False, False])
    scores = np.array([0.9, 0.5, 0.5, 0.2, 0.5, 0.4, 0.1])
    both = sensitivity_specificity(truth, scores, 0.5)
    assert both.sensitivity == 3 / 4
    assert both.specificity == 2 / 3
    assert sensitivity_specificity(truth, scores, 0.5, [3, 1, 1, 1, 1, 1, 1]).sensitivity == 5 / 6


def test_log_loss_is_the_mean_cross_entropy_of_soft_targets():
    targets = [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    probabilities = [[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]]
    by_hand = [-math.log(0.8), -0.5 * math.log(0.6) - 0.5 * math.log(0.4), -math.log(0.7)]
    assert log_loss(targets, probabilities) == pytest.approx(sum(by_hand) / 3)
    assert log_loss(targets, probabilities, [1, 0, 3]) == pytest.approx((by_hand[0] + 3 * by_hand[2]) / 4)
    assert math.isfinite(log_loss([[1.0, 0.0]], [[0.0, 1.0]]))


@pytest.mark.parametrize("seed", range(4))
def test_balanced_accuracy_is_the_mean_of_the_recalls(seed):
    generator = np.random.default_rng(seed)
    truth, called = generator.integers(0, 4, 80), generator.integers(0, 4, 80)
    weights = generator.integers(1, 4, 80)
    recalls = []
    for name in set(truth.tolist()):
        rows = [i for i in range(80) if truth[i] == name]
        recalls.append(sum(weights[i] for i in rows if called[i] == name) / sum(weights[i] for i in rows))
    assert balanced_accuracy(truth, called, weights) == pytest.approx(sum(recalls) / len(recalls))
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


def test_calibration_error_of_certain_and_right_scores_is_nothing():
    assert expected_calibration_error(np.eye(3), np.eye(3)) == 0.0
    assert expected_calibration_error(np.eye(2)[::-1], np.eye(2)) == 1.0
