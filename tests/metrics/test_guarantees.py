"""Guarantees against exact binomial counts, and the promise itself in a simulation."""

import importlib

import numpy as np
import pytest
from scipy import stats

from inkdot.metrics.decision.abstention import calls_needed, guaranteed_band
from inkdot.metrics.decision.guarantees import (
    PatientScores,
    average_rank,
    lock_threshold,
    one_row_per_patient,
    patient_scores,
    risk_bound,
    sensitivity_bound,
    tolerance_rank,
)
from inkdot.metrics.decision.thresholds import midpoint, rounded_down
from inkdot.metrics.sample_size import positives_for_lock


@pytest.mark.parametrize(
    ("sensitivity", "confidence", "needed"),
    [(0.95, 0.9, 45), (0.9, 0.9, 22), (0.95, 0.95, 59), (0.95, 0.8, 32)],
)
def test_the_fewest_patients_are_those_of_the_tables_of_tolerance_limits(sensitivity, confidence, needed):
    assert positives_for_lock(sensitivity, confidence) == needed
    assert tolerance_rank(needed, sensitivity, confidence) == 1
    assert tolerance_rank(needed - 1, sensitivity, confidence) == 0


@pytest.mark.parametrize("n", [1, 44, 45, 100, 333])
@pytest.mark.parametrize(("sensitivity", "confidence"), [(0.95, 0.9), (0.8, 0.99), (0.5, 0.5)])
def test_the_rank_is_the_largest_that_the_binomial_distribution_allows(n, sensitivity, confidence):
    allowed = [k for k in range(1, n + 1) if stats.binom.sf(k - 1, n, 1 - sensitivity) >= confidence]
    assert tolerance_rank(n, sensitivity, confidence) == max(allowed, default=0)


def test_bounds_are_those_of_clopper_and_pearson():
    low = stats.binomtest(38, 40).proportion_ci(0.8, "exact").low
    assert sensitivity_bound(40, 2, 0.9) == pytest.approx(low)
    assert risk_bound(2, 40, 0.9) == pytest.approx(1 - low)
    assert (sensitivity_bound(3, 3, 0.9), risk_bound(0, 0, 0.9)) == (0.0, 1.0)


def test_on_average_the_kth_of_n_scores_has_a_share_of_k_of_n_plus_one_below_it():
    assert [average_rank(n, 0.95) for n in (1, 19, 38, 39, 59)] == [1, 1, 1, 2, 3]


def test_a_patient_has_its_highest_score_and_of_images_one_of_each_class_is_drawn():
    truth = np.array([True, False, True, False, False])
    scores, patients = [0.2, 0.9, 0.4, 0.1, 0.3], np.array(["a", "a", "b", "c", "c"])
    own = patient_scores(truth, scores, patients)
    assert own.truth.tolist() == [True, True, False]
    assert own.scores.tolist() == [0.9, 0.4, 0.3]
    drawn = {tuple(one_row_per_patient(truth, scores, patients, seed=seed).scores) for seed in range(20)}
    assert drawn == {(0.2, 0.9, 0.4, 0.1), (0.2, 0.9, 0.4, 0.3)}


def test_no_positive_patient_is_refused():
    with pytest.raises(ValueError, match="at least one positive patient"):
        lock_threshold(PatientScores(np.zeros(3, bool), np.zeros(3)), 0.95, 0.9)


def test_a_threshold_in_the_gap_is_lowered_by_the_error_of_scores_only_where_it_must():
    units = PatientScores(np.array([True, True, False]), np.array([0.9, 0.5, 0.1]))
    assert lock_threshold(units, 0.95, 0.9, score_error=0.1).threshold == pytest.approx(0.25, abs=1e-3)
    close = PatientScores(np.array([True, True, False]), np.array([0.9, 0.5, 0.499]))
    assert lock_threshold(close, 0.95, 0.9, score_error=0.1).threshold == pytest.approx(0.4, abs=1e-3)


def test_rounding_keeps_four_digits_of_the_distance_from_either_end():
    assert [rounded_down(p) for p in (0.0, 1.0, 0.123456, 0.999912345, 0.2)] == [
        0.0,
        1.0,
        0.1234,
        0.99991234,
        0.2,
    ]
    assert midpoint(0.99, 0.9999) == pytest.approx(0.999, abs=1e-5)


def bands(errors, positives=60, negatives=120, confidence=0.9):
    """Separated scores, but with so many negative patients above the threshold, at the lower end of the positives."""
    scores = np.concatenate([np.linspace(0.6, 0.9, positives), np.linspace(0.1, 0.4, negatives)])
    scores[positives : positives + errors] = np.linspace(0.601, 0.61, errors)
    truth = np.arange(positives + negatives) < positives
    return guaranteed_band(truth, scores, 0.5, 0.05, confidence)


def test_a_band_is_narrow_where_few_calls_are_wrong_and_absent_where_patients_are_too_few():
    clean = bands(0)
    assert (clean.error, clean.coverage) == (0.0, 1.0)
    assert 0.5 == clean.low < clean.high < 0.6
    wrong = bands(30)
    assert wrong.high > 0.605
    calls = round(wrong.coverage * 180)
    assert stats.binom.cdf(round(wrong.error * calls) + 1, calls, 0.05) <= 0.1  # one more than was wrong
    assert bands(0, positives=30, negatives=46) is None  # 76 calls, one of which might be wrong
    assert stats.binom.cdf(1, 76, 0.05) > 0.1 >= stats.binom.cdf(1, 77, 0.05)
    assert bands(0, positives=30, negatives=47) is not None
    assert calls_needed(0.05, 0.9) == 77


@pytest.mark.parametrize("risk", [0.001, 0.01, 0.05, 0.3, 0.6])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.999])
def test_the_fewest_calls_are_those_of_the_exact_test_with_one_wrong(risk, confidence):
    needed = calls_needed(risk, confidence)
    assert stats.binom.cdf(1, needed, risk) <= 1 - confidence + 1e-12
    assert needed == 2 or stats.binom.cdf(1, needed - 1, risk) > 1 - confidence


@pytest.mark.parametrize("auc", [0.9, 0.99])
def test_a_promise_with_a_confidence_of_090_is_broken_in_a_tenth_of_the_cohorts_at_most(
    repository, monkeypatch, auc
):
    monkeypatch.syspath_prepend(str(repository / "experiments"))
    experiment = importlib.import_module("operating_point_guarantee")
    draws, options = 400, {"sensitivity": 0.9, "confidence": 0.9}
    own = experiment.simulate(experiment.todays_rule, 60, 120, auc, draws=draws, **options)
    most = stats.binom.ppf(0.999, draws, 0.1) / draws
    assert own.locked == 1.0
    assert 0.0 < own.broken <= most
    assert own.band_broken <= most
    few = experiment.simulate(experiment.todays_rule, 20, 40, auc, draws=20, **options)
    assert (few.locked, few.band_locked) == (0.0, 0.0)
    earlier = experiment.simulate(experiment.earlier_rule, 60, 120, auc, draws=draws, **options)
    assert earlier.broken > 2 * most
