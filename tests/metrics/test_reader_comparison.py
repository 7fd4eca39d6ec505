"""Readers compared in two arms: formulas by hand, and simulated studies whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from inkdot.metrics.reader_comparison import NO_VARIANCE, ONE_READER, compare_auc, compare_shares


def names(count: int) -> np.ndarray:
    return np.asarray([f"p{number}" for number in range(count)])


def test_one_reader_has_the_interval_of_paired_proportions() -> None:
    generator = np.random.default_rng(3)
    correct = generator.random((2, 1, 50)) < np.asarray([0.6, 0.8])[:, None, None]
    found = compare_shares(correct, names(50)).difference
    change = correct[1, 0].astype(float) - correct[0, 0]
    half = stats.norm.ppf(0.975) * change.std(ddof=1) / np.sqrt(50)
    assert found.method == ONE_READER
    assert (found.value, found.low, found.high) == pytest.approx(
        (change.mean(), change.mean() - half, change.mean() + half)
    )


def test_covariances_and_degrees_of_freedom_are_those_of_the_published_formula() -> None:
    generator = np.random.default_rng(5)
    correct = generator.random((2, 3, 40)) < 0.7
    found = compare_shares(correct, names(40)).difference
    flat = correct.reshape(6, 40).astype(float)
    covariance = np.cov(flat) / 40  # the jackknife of a mean is its usual variance
    pairs = [(j, k) for j in range(3) for k in range(3) if j != k]
    within = np.mean([covariance[3 * i + j, 3 * i + k] for i in (0, 1) for j, k in pairs])
    between = np.mean([covariance[j, 3 + k] for j, k in pairs])
    theta = correct.mean(axis=2)
    residual = theta - theta.mean(axis=1, keepdims=True) - theta.mean(axis=0, keepdims=True) + theta.mean()
    mean_square = (residual**2).sum() / ((2 - 1) * (3 - 1))
    whole = mean_square + 3 * max(within - between, 0.0)
    freedom = whole**2 / (mean_square**2 / 2)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(2 / 3 * whole)
    assert found.high - found.value == pytest.approx(half)
    assert found.value == pytest.approx(theta[1].mean() - theta[0].mean())


def test_slides_of_one_patient_are_one_observation() -> None:
    generator = np.random.default_rng(7)
    correct = generator.random((2, 4, 30)) < 0.7
    once = compare_shares(correct, names(30))
    twice = compare_shares(np.repeat(correct, 2, axis=2), np.repeat(names(30), 2))
    assert twice.patients == 30
    assert (twice.difference.low, twice.difference.high) == pytest.approx(
        (once.difference.low, once.difference.high)
    )


def test_readings_that_never_differ_still_have_an_interval() -> None:
    found = compare_shares(np.ones((2, 3, 20), bool), names(20))
    assert found.difference.method == NO_VARIANCE
    assert (found.difference.low, found.difference.high) == pytest.approx((-0.1684, 0.1684), abs=1e-4)
    assert (found.first.low, found.first.high) == pytest.approx((0.8316, 1.0), abs=1e-4)


def test_fewer_than_two_patients_are_refused() -> None:
    with pytest.raises(ValueError, match="two patients or more, found 1"):
        compare_shares(np.ones((2, 2, 3), bool), np.asarray(["p", "p", "p"]))
    with pytest.raises(ValueError, match="of each class"):
        compare_auc(np.asarray([True, False, False]), np.zeros((2, 2, 3)), names(3))


def simulated(
    generator: np.random.Generator, readers: int, cases: int, gain: float
) -> tuple[np.ndarray, float]:
    """Ratings of positive cases [2, readers, cases]: cases, readers and their interaction with the arm vary (Roe and Metz)."""
    case = generator.normal(0, 0.7, (1, 1, cases))
    reader = generator.normal(0, 0.3, (1, readers, 1))
    both = generator.normal(0, 0.2, (2, readers, 1))
    noise = generator.normal(0, 0.6, (2, readers, cases))
    arm = np.asarray([0.5, 0.5 + gain])[:, None, None]
    spread = np.sqrt(0.7**2 + 0.3**2 + 0.2**2 + 0.6**2)
    truth = stats.norm.cdf((0.5 + gain) / spread) - stats.norm.cdf(0.5 / spread)
    return arm + case + reader + both + noise, float(truth)


def test_simulated_studies_recover_the_true_difference_in_sensitivity() -> None:
    generator = np.random.default_rng(11)
    found, inside = [], 0
    for _ in range(400):
        ratings, truth = simulated(generator, readers=5, cases=60, gain=0.4)
        difference = compare_shares(ratings > 0.0, names(60)).difference
        found.append(difference.value - truth)
        inside += difference.low <= truth <= difference.high
    # The mean error is nought within its own standard error, and 95 % intervals hold the truth in 95 % of studies.
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    low, high = stats.binom.interval(0.998, 400, 0.95)
    assert low <= inside <= high


def test_simulated_studies_without_a_difference_seldom_show_one() -> None:
    generator = np.random.default_rng(13)
    false = 0
    for _ in range(400):
        ratings, _ = simulated(generator, readers=4, cases=50, gain=0.0)
        difference = compare_shares(ratings > 0.0, names(50)).difference
        false += not difference.low <= 0.0 <= difference.high
    assert false <= stats.binom.ppf(0.999, 400, 0.05)


def test_simulated_studies_recover_the_true_difference_in_auc() -> None:
    generator = np.random.default_rng(17)
    truth = np.repeat([True, False], 30)
    found, inside = [], 0
    for _ in range(60):
        positive, _ = simulated(generator, readers=4, cases=30, gain=0.5)
        negative, _ = simulated(generator, readers=4, cases=30, gain=0.0)
        ratings = np.concatenate([positive, negative - 0.5], axis=2)
        difference = compare_auc(truth, ratings, names(60)).difference
        # Of two normal scores, AUC is that of their difference.
        spread = np.sqrt(2 * (0.7**2 + 0.6**2) + 2 * (0.3**2 + 0.2**2))
        expected = float(stats.norm.cdf(1.0 / spread) - stats.norm.cdf(0.5 / spread))
        found.append(difference.value - expected)
        inside += difference.low <= expected <= difference.high
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    assert inside >= stats.binom.ppf(0.001, 60, 0.95)
