"""Every metric that scikit-learn has, against scikit-learn: ties, weights, few rows, several classes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from inkdot.metrics.agreement import cohen_kappa
from inkdot.metrics.classification import (
    average_precision,
    balanced_accuracy,
    expected_calibration_error,
    log_loss,
    roc_auc,
)
from inkdot.metrics.curves import precision_recall_points, reliability_bins, roc_points
from inkdot.metrics.intervals.confidence_intervals import sensitivity_specificity

TENTHS = st.integers(0, 10).map(lambda tenth: tenth / 10)  # few values, hence many ties
WEIGHT = st.sampled_from([0.25, 1.0, 2.0, 3.5])
ROWS = st.lists(st.tuples(st.booleans(), TENTHS, WEIGHT), min_size=1, max_size=60)
CLASSES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), WEIGHT), min_size=1, max_size=60)

several = settings(deadline=None, max_examples=60)  # a busy machine is no fault


def columns(rows):
    return tuple(np.array(column) for column in zip(*rows, strict=True))


@several
@given(ROWS)
def test_roc_auc_and_average_precision(rows):
    truth, scores, weights = columns(rows)
    if not truth.any() or truth.all():
        assert math.isnan(roc_auc(truth, scores, weights))
        return
    for weight in (None, weights):
        assert roc_auc(truth, scores, weight) == pytest.approx(
            sk.roc_auc_score(truth, scores, sample_weight=weight), abs=1e-12
        )
        assert average_precision(truth, scores, weight) == pytest.approx(
            sk.average_precision_score(truth, scores, sample_weight=weight), abs=1e-12
        )


@several
@given(ROWS)
def test_roc_curve(rows):
    truth, scores, _ = columns(rows)
    if not truth.any() or truth.all():
        assert roc_points(truth, scores) == []
        return
    false_positives, true_positives, _ = sk.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc_points(truth, scores), np.stack([false_positives, true_positives], axis=1))


@several
@given(ROWS)
def test_precision_recall_curve(rows):
    truth, scores, _ = columns(rows)
    if not truth.any() or truth.all():
        assert precision_recall_points(truth, scores) == []
        return
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    expected = np.stack([recall[:-1], precision[:-1]], axis=1)[
        ::-1
    ]  # the last point of scikit-learn has no threshold
    np.testing.assert_allclose(precision_recall_points(truth, scores), expected)


@several
@given(ROWS, TENTHS)
def test_sensitivity_and_specificity_are_the_recalls_of_the_confusion_matrix(rows, threshold):
    truth, scores, _ = columns(rows)
    called = scores >= threshold
    (tn, fp), (fn, tp) = sk.confusion_matrix(truth, called, labels=[False, True])
    found = sensitivity_specificity(truth, called, np.full(len(truth), "one patient"))
    expected = (tp / (tp + fn) if tp + fn else None, tn / (tn + fp) if tn + fp else None)
    assert [estimate and estimate.value for estimate in found.values()] == pytest.approx(expected)


@several
@given(CLASSES)
def test_balanced_accuracy_is_the_macro_recall_of_the_true_classes(rows):
    truth, called, weights = columns(rows)
    expected = sk.recall_score(
        truth, called, labels=np.unique(truth), average="macro", sample_weight=weights, zero_division=0.0
    )
    assert balanced_accuracy(truth, called, weights) == pytest.approx(expected)


@several
@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.booleans())
def test_log_loss(seed, classes, weighted):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, 30)
    probabilities = generator.dirichlet(np.full(classes, 0.5), 30).clip(1e-9, 1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    weights = generator.random(30) + 0.1 if weighted else None
    expected = sk.log_loss(truth, probabilities, sample_weight=weights, labels=range(classes))
    assert log_loss(np.eye(classes)[truth], probabilities, weights) == pytest.approx(expected)


@several
@given(CLASSES)
def test_cohen_kappa(rows):
    first, second, weights = columns(rows)
    agree_by_chance = len(set(first.tolist()) | set(second.tolist())) == 1
    expected = (
        math.nan
        if agree_by_chance
        else sk.cohen_kappa_score(first, second, labels=range(4), sample_weight=weights)
    )
    assert cohen_kappa(first, second, 4, weights) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("seed", range(4))
def test_reliability_bins_are_the_calibration_curve(seed):
    generator = np.random.default_rng(seed)
    scores = generator.random(300)
    truth = generator.random(300) < scores
    rows = reliability_bins(truth, scores, np.array([f"p{k % 20}" for k in range(300)]))
    shares, means = calibration_curve(truth, scores, n_bins=10)
    np.testing.assert_allclose([row.mean_score for row in rows], means)
    np.testing.assert_allclose([row.fraction_positive.value for row in rows], shares)


@pytest.mark.parametrize("seed", range(4))
def test_expected_calibration_error_is_the_mean_gap_of_the_calibration_curve(seed):
    """Of two classes whose winner is the second one, so that the winner's probability is the positive one's."""
    generator = np.random.default_rng(seed)
    scores = generator.uniform(0.5, 1.0, 300)
    truth = generator.random(300) < scores
    shares, means = calibration_curve(truth, scores, n_bins=15)
    counts = np.histogram(scores, np.linspace(0, 1, 16))[0]
    expected = np.average(np.abs(shares - means), weights=counts[counts > 0])
    pair = np.stack([1 - scores, scores], axis=1)
    assert expected_calibration_error(np.eye(2)[truth.astype(int)], pair) == pytest.approx(expected)
