import numpy as np
import pytest
from scipy import special

from inkdot.metrics.decision.thresholds import (
    logit,
    midpoint,
    rounded_down,
    threshold_for_sensitivity,
    threshold_in_gap,
)


def brute_force(truth, scores, target):
    """Every score as threshold, the highest that reaches the target."""
    reaching = [t for t in scores if np.mean(scores[truth] >= t) >= target - 1e-12]
    return max(t for t in reaching if t in scores[truth])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("target", [0.05, 0.5, 0.8, 0.95, 1.0])
def test_agrees_with_trying_every_score(seed, target):
    generator = np.random.default_rng(seed)
    truth = generator.random(50) < 0.4
    scores = np.round(generator.random(50), 1).astype(np.float32)
    assert threshold_for_sensitivity(truth, scores, target) == brute_force(truth, scores, target)


def test_a_sensitivity_of_95_percent_is_19_of_20():
    scores = np.arange(20) / 20
    assert threshold_for_sensitivity(np.ones(20, bool), scores, 0.95) == 1 / 20


def test_one_positive_gives_its_own_score_exactly_in_single_precision():
    score = np.float32(0.1)
    threshold = threshold_for_sensitivity(np.array([True, False]), np.array([score, 0.9], np.float32), 0.95)
    assert threshold == float(score)
    assert score >= threshold


def test_ties_at_the_threshold_are_all_called():
    truth = np.array([True, True, True, False])
    scores = np.array([0.4, 0.4, 0.4, 0.1])
    threshold = threshold_for_sensitivity(truth, scores, 0.5)
    assert threshold == 0.4
    assert (scores[truth] >= threshold).all()


@pytest.mark.parametrize(
    ("truth", "target"), [([False, False], 0.9), ([True, False], 0.0), ([True, False], 1.1)]
)
def test_no_positive_row_or_an_impossible_sensitivity_is_refused(truth, target):
    with pytest.raises(ValueError, match="expected"):
        threshold_for_sensitivity(np.array(truth), np.array([0.1, 0.2]), target)


def test_the_logit_is_scipys_and_that_of_0_and_1_is_that_of_the_closest_float32():
    inner = np.array([1e-6, 0.1, 0.5, 0.99])
    np.testing.assert_allclose(logit(inner), special.logit(inner), rtol=1e-12)
    nearest = 0.5 * (1.0 - float(np.nextafter(np.float32(1), np.float32(0))))
    np.testing.assert_allclose(logit([0.0, 1.0]), special.logit([nearest, 1.0 - nearest]), rtol=1e-12)
    assert nearest == 2.0**-25


@pytest.mark.parametrize(("low", "high"), [(0.99, 0.9999), (0.1, 0.3), (0.2, 0.8), (0.0, 0.5)])
def test_the_midpoint_is_halfway_in_logits(low, high):
    ends = special.logit(np.clip([low, high], 2.0**-25, 1 - 2.0**-25))
    assert midpoint(low, high) == pytest.approx(special.expit(ends.mean()), rel=1e-12)


@pytest.mark.parametrize(
    ("score", "rounded"),
    [
        (0.12345, 0.1234), (0.5, 0.5), (0.0012345, 0.001234), (0.87654321, 0.8765), (0.999912345, 0.99991234), (0.1, 0.1),
        (0.29, 0.29), (1e-7, 1e-7), (1.23456e-6, 1.23e-6), (0.0, 0.0), (1.0, 1.0), (2.0**-25, 2.0**-25),
        (1 - 2.0**-26, 1 - 2.0**-26),
    ],
)  # fmt: skip
def test_a_threshold_is_rounded_down_to_four_digits_of_the_distance_from_the_closer_end(score, rounded):
    assert rounded_down(score) == rounded
    assert rounded_down(score) <= score


@pytest.mark.parametrize(
    ("truth", "scores", "at_most", "low", "high"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], 0.9, 0.2, 0.6),  # separated: the middle of the widest gap
        ([0, 1, 0, 1], [0.1, 0.3, 0.5, 0.9], 0.9, 0.5, 0.9),
        ([0, 1, 0, 1], [0.1, 0.3, 0.5, 0.9], 0.3, 0.1, 0.3),  # the negative one at 0.5 lies above
        ([0, 1, 0, 1], [0.1, 0.3, 0.3, 0.9], 0.3, 0.1, 0.3),  # as does one with the same score
        (
            [0, 1, 1],
            [0.3, 0.3, 0.9],
            0.9,
            0.3,
            0.9,
        ),  # a positive one with the score of a negative one is not above it
    ],
)
def test_the_threshold_is_in_the_gap_below(truth, scores, at_most, low, high):
    assert threshold_in_gap(np.array(truth, bool), scores, at_most) == pytest.approx(midpoint(low, high))


def test_without_a_negative_row_below_it_is_the_lowest_positive_score():
    assert threshold_in_gap(np.array([True, True, False]), [0.4, 0.6, 0.7], 0.6) == 0.4
