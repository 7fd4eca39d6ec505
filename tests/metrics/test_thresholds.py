import numpy as np
import pytest

from inkdot.metrics.decision.thresholds import threshold_for_sensitivity


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
