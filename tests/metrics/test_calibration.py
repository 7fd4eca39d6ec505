import numpy as np
import pytest
from scipy import optimize, special

from inkdot.metrics.calibration import fit_temperature, softmax
from inkdot.metrics.classification import log_loss


def overconfident(seed=0, rows=400, factor=3.0):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, 3)) * 1.5
    drawn = [generator.choice(3, p=p) for p in special.softmax(logits, axis=1)]
    return logits * factor, np.eye(3)[drawn]


def test_softmax_agrees_with_scipy_and_does_not_overflow():
    logits = np.array([[1000.0, 0.0], [-3.0, 2.0]])
    np.testing.assert_allclose(softmax(logits), special.softmax(logits, axis=1), atol=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_temperature_is_the_minimum_that_scipy_finds(seed):
    logits, targets = overconfident(seed)
    best = optimize.minimize_scalar(
        lambda t: -np.mean(np.sum(targets * special.log_softmax(logits / t, axis=1), axis=1)),
        bounds=(0.3, 15),
        method="bounded",
        options={"xatol": 1e-8},
    )
    assert fit_temperature(logits, targets) == pytest.approx(best.x, rel=1e-3)


def test_temperature_undoes_overconfidence_and_keeps_the_ranking():
    logits, targets = overconfident(rows=3000)
    temperature = fit_temperature(logits, targets)
    assert temperature == pytest.approx(3.0, rel=0.1)
    assert log_loss(targets, softmax(logits / temperature)) < log_loss(targets, softmax(logits))


def test_weights_count_like_copies():
    logits, targets = overconfident(rows=50)
    weights = np.arange(50) % 3
    copies = np.repeat(np.arange(50), weights)
    assert fit_temperature(logits, targets, weights) == fit_temperature(logits[copies], targets[copies])


def test_perfect_separation_does_not_make_certainty():
    assert fit_temperature([[3.0, -3.0], [-3.0, 3.0]], np.eye(2)) == 1.0


def test_no_rows_leave_the_scores_as_they_are():
    assert fit_temperature(np.zeros((0, 2)), np.zeros((0, 2))) == 1.0
