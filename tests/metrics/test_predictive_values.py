"""Predictive values by Bayes' theorem, and the coverage of their intervals by enumeration."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from inkdot.metrics.predictive_values import ADJUSTED_LOGIT, LOGIT, Counts, predictive_values


def test_values_are_those_of_counted_people() -> None:
    """Of 100,000 people 5,000 are positive: 4,500 of these and 19,000 of the others are flagged."""
    own = predictive_values(Counts(45, 50, 80, 100), 0.05)
    assert own is not None
    assert own.ppv.value == pytest.approx(4500 / (4500 + 19000))
    assert own.npv.value == pytest.approx(76000 / (76000 + 500))
    assert own.flagged == pytest.approx(0.235)
    assert own.missed == pytest.approx(0.005)
    assert own.ppv.method == LOGIT


def test_the_logit_interval_is_that_of_the_paper() -> None:
    """The variance of the logit of PPV is (1 - se) / (se n1) + sp / ((1 - sp) n0)."""
    own = predictive_values(Counts(45, 50, 80, 100), 0.05)
    assert own is not None
    centre = np.log(own.ppv.value / (1 - own.ppv.value))
    half = norm.ppf(0.975) * np.sqrt(0.1 / (0.9 * 50) + 0.8 / (0.2 * 100))
    assert (own.ppv.low, own.ppv.high) == pytest.approx(
        tuple(1 / (1 + np.exp(-(centre + sign * half))) for sign in (-1, 1))
    )
    centre = np.log(own.npv.value / (1 - own.npv.value))
    half = norm.ppf(0.975) * np.sqrt(0.9 / (0.1 * 50) + 0.2 / (0.8 * 100))
    assert (own.npv.low, own.npv.high) == pytest.approx(
        tuple(1 / (1 + np.exp(-(centre + sign * half))) for sign in (-1, 1))
    )


@pytest.mark.parametrize("counts", [Counts(20, 20, 30, 40), Counts(15, 20, 40, 40), Counts(20, 20, 40, 40)])
def test_perfect_shares_have_an_interval_that_holds_the_value(counts: Counts) -> None:
    own = predictive_values(counts, 0.1)
    assert own is not None
    for value in (own.ppv, own.npv):
        assert value.method == ADJUSTED_LOGIT
        assert 0 < value.low <= value.value <= value.high <= 1
        assert value.high - value.low > 0.005


def test_without_a_class_or_a_call_there_is_no_value() -> None:
    assert predictive_values(Counts(0, 0, 5, 10), 0.1) is None
    assert predictive_values(Counts(5, 10, 0, 0), 0.1) is None
    assert predictive_values(Counts(0, 10, 10, 10), 0.1) is None  # nothing is flagged
    assert predictive_values(Counts(10, 10, 0, 10), 0.1) is None  # everything is


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_a_prevalence_lies_between_0_and_1(wrong: float) -> None:
    with pytest.raises(ValueError, match="expected a prevalence"):
        predictive_values(Counts(9, 10, 9, 10), wrong)


@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.9, 0.8), (0.8, 0.95), (0.97, 0.6)])
def test_intervals_hold_the_truth_in_95_of_100(sensitivity: float, specificity: float) -> None:
    """Exactly, by the probability of each outcome of 30 positive and 50 negative patients."""
    prevalence = 0.05
    flagged = sensitivity * prevalence + (1 - specificity) * (1 - prevalence)
    ppv, npv = sensitivity * prevalence / flagged, specificity * (1 - prevalence) / (1 - flagged)
    held = np.zeros(2)
    for hits in range(31):
        for rejected in range(51):
            chance = binom.pmf(hits, 30, sensitivity) * binom.pmf(rejected, 50, specificity)
            own = predictive_values(Counts(hits, 30, rejected, 50), prevalence)
            if own is not None:
                held += chance * np.array(
                    [own.ppv.low <= ppv <= own.ppv.high, own.npv.low <= npv <= own.npv.high]
                )
    assert (held >= 0.93).all(), held
