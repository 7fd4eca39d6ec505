import math

import numpy as np
import pytest
from scipy import stats

from inkdot.metrics.intervals.confidence_intervals import (
    BOOTSTRAP,
    CLOPPER_PEARSON,
    TOO_FEW,
    auc_estimate,
    bootstrap_estimate,
    bootstrap_tail,
    clopper_pearson,
    patient_bootstrap,
    share_estimate,
)


@pytest.mark.parametrize(("successes", "trials"), [(0, 12), (12, 12), (1, 1), (3, 7), (57, 60), (950, 1000)])
def test_clopper_pearson_agrees_with_scipy(successes, trials):
    exact = stats.binomtest(successes, trials).proportion_ci(0.95, "exact")
    assert clopper_pearson(successes, trials) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_sixty_of_sixty_still_has_a_lower_bound_of_94_percent():
    low, high = clopper_pearson(60, 60)
    assert low == pytest.approx(0.940, abs=5e-4)
    assert high == 1.0


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3), (0, 0)])
def test_impossible_counts_are_refused(successes, trials):
    with pytest.raises(ValueError, match="successes"):
        clopper_pearson(successes, trials)


def test_bootstrap_of_a_mean_over_single_row_patients_is_the_textbook_interval():
    values = np.random.default_rng(1).normal(10.0, 2.0, 400)
    patients = np.array([f"p{i}" for i in range(400)])
    low, high = patient_bootstrap(lambda w: float(np.average(values, weights=w)), patients, replicates=2000)
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=half / 5)


def test_bootstrap_draws_patients_not_rows():
    # Ten copies of each row carry no information: the interval must not shrink.
    values = np.random.default_rng(2).normal(size=60)
    patients = np.array([f"p{i}" for i in range(60)])
    narrow = patient_bootstrap(lambda w: float(np.average(values, weights=w)), patients)
    copied = np.repeat(values, 10)
    wide = patient_bootstrap(lambda w: float(np.average(copied, weights=w)), np.repeat(patients, 10))
    assert wide == pytest.approx(narrow, abs=1e-12)


def test_bootstrap_is_deterministic_and_refuses_undefined_statistics():
    patients = np.array(["a", "b", "c"])
    values = np.array([1.0, 2.0, 4.0])

    def mean(weights):
        return float(np.average(values, weights=weights))

    assert patient_bootstrap(mean, patients, seed=3) == patient_bootstrap(mean, patients, seed=3)
    assert patient_bootstrap(lambda w: math.nan, patients) is None
    assert patient_bootstrap(mean, np.zeros(0, str)) is None


def cohort(seed=0, patients=40, separation=1.2):
    generator = np.random.default_rng(seed)
    names = np.repeat([f"p{i:02d}" for i in range(patients)], 15)
    truth = np.repeat(np.arange(patients) % 2 == 0, 15)
    return truth, truth * separation + generator.normal(size=len(truth)), names


def test_auc_interval_holds_the_value_and_widens_with_fewer_patients():
    many = auc_estimate(*cohort(patients=80))
    few = auc_estimate(*cohort(patients=8))
    assert many is not None
    assert few is not None
    assert many.method == BOOTSTRAP
    assert many.low < many.value < many.high
    assert few.high - few.low > many.high - many.low


def test_auc_of_two_positive_patients_has_no_interval():
    truth, scores, names = cohort(patients=4)
    estimate = auc_estimate(truth, scores, names)
    assert estimate is not None
    assert (estimate.low, estimate.high, estimate.method) == (0.0, 1.0, TOO_FEW)


def test_perfect_separation_of_few_patients_is_no_certainty():
    truth, _, names = cohort(patients=10)
    estimate = auc_estimate(truth, truth.astype(float), names)
    assert estimate is not None
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert estimate.method == CLOPPER_PEARSON
    assert estimate.low == pytest.approx(stats.binomtest(5, 5).proportion_ci(0.95, "exact").low, abs=1e-9)


def test_auc_without_one_class_is_none():
    assert auc_estimate(np.array([True, True]), [0.1, 0.2], np.array(["a", "b"])) is None


def test_share_of_hits_uses_patients_and_falls_back_to_the_exact_interval():
    hits = np.array([True] * 30)
    patients = np.repeat(["a", "b", "c", "d", "e", "f"], 5)
    estimate = share_estimate(hits, patients)
    assert estimate is not None
    assert estimate.method == CLOPPER_PEARSON
    assert estimate.low == pytest.approx(stats.binomtest(6, 6).proportion_ci(0.95, "exact").low, abs=1e-9)
    mixed = share_estimate(np.arange(30) % 3 > 0, patients)
    assert mixed is not None
    assert mixed.low <= mixed.value <= mixed.high
    assert share_estimate(np.zeros(0, bool), np.zeros(0, str)) is None


def test_any_statistic_gets_an_interval_where_patients_suffice():
    values = np.random.default_rng(0).random(60)
    patients = np.repeat([f"p{i}" for i in range(20)], 3)

    def mean(weights):
        return float(np.average(values, weights=weights))

    estimate = bootstrap_estimate(mean, patients)
    assert estimate is not None
    assert estimate.method == BOOTSTRAP
    assert (estimate.low, estimate.high) == patient_bootstrap(mean, patients)
    few = bootstrap_estimate(mean, np.repeat(["a", "b"], 30))
    assert few is not None
    assert (few.low, few.high, few.method) == (0.0, 1.0, TOO_FEW)
    assert bootstrap_estimate(lambda weights: math.nan, patients) is None


@pytest.mark.parametrize(("hits", "patients"), [(9, 10), (1, 10), (13, 14), (26, 30), (4, 5)])
def test_few_hits_or_misses_of_patients_have_the_exact_interval(hits, patients):
    """A bootstrap of 9 of 10 reaches 1 although one was missed, and stops short below."""
    estimate = share_estimate(np.arange(patients) < hits, np.array([f"p{i}" for i in range(patients)]))
    assert estimate is not None
    assert estimate.method == CLOPPER_PEARSON
    exact = stats.binomtest(hits, patients).proportion_ci(0.95, "exact")
    assert (estimate.low, estimate.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_many_hits_and_misses_use_the_bootstrap():
    single = np.array([f"p{i}" for i in range(30)])
    drawn = share_estimate(np.arange(30) % 3 > 0, single)
    several = share_estimate(np.arange(30) > 0, np.repeat(single[:10], 3))
    assert drawn is not None
    assert several is not None
    assert drawn.method == several.method == BOOTSTRAP


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5, 1.0 - 1e-12, 0.457])
def test_where_every_replicate_is_the_same_the_exact_interval_is_used(value):
    """A perfect metric of many patients is no certainty, and these are not too few."""
    patients = np.array([f"p{i}" for i in range(20)])
    rarer = np.arange(20) < 7
    noise = np.linspace(-1e-5, 1e-5, 20)
    estimate = bootstrap_estimate(
        lambda weights: float(np.clip(value + np.average(noise, weights=weights), 0, 1)),
        patients,
        sides=[rarer, ~rarer],
    )
    assert estimate is not None
    assert estimate.method == CLOPPER_PEARSON
    assert (estimate.low, estimate.high) == pytest.approx(clopper_pearson(value * 7, 7), abs=1e-3)


@pytest.mark.parametrize(("patients", "confidence"), [(3, 0.95), (8, 0.95), (14, 0.9), (2000, 0.95)])
def test_few_patients_widen_the_interval_as_students_t_does(patients, confidence):
    """Hesterberg's expanded percentiles: a plain bootstrap of few patients is too narrow."""
    expected = stats.norm.cdf(
        -math.sqrt(patients / (patients - 1)) * stats.t.ppf(0.5 + confidence / 2, patients - 1)
    )
    assert bootstrap_tail(patients, confidence) == pytest.approx(expected, rel=1e-6)
    assert bootstrap_tail(1, confidence) == 0.0
    assert bootstrap_tail(10**6, 0.95) == pytest.approx(0.025, rel=1e-4)


def test_intervals_of_eight_patients_with_many_rows_hold_the_truth_nearly_at_the_nominal_rate():
    """Plain percentiles did in 86 of these 100."""
    generator = np.random.default_rng(3)
    names, held = np.repeat([f"p{i}" for i in range(8)], 20), 0
    for _ in range(100):
        share = np.repeat(generator.beta(4, 2, 8), 20)  # a mean of 2/3 over patients
        estimate = share_estimate(generator.random(160) < share, names, replicates=200)
        held += estimate.low <= 2 / 3 <= estimate.high
    assert held >= 90


def test_four_patients_of_many_rows_are_too_few_for_a_bootstrap():
    truth, scores, names = cohort(patients=8)
    assert auc_estimate(truth, scores, names).method == TOO_FEW
    # One row each is another thing: nothing is hidden in it.
    single = auc_estimate(truth[::15], np.array([4.0, 1.0, 3.0, 2.0, 5.0, 3.5, 6.0, 0.0]), names[::15])
    assert single.method == BOOTSTRAP
    several = share_estimate(np.arange(60) % 3 > 0, names[:60])
    assert several.method == CLOPPER_PEARSON


def test_the_interval_of_a_nearly_perfect_auc_is_as_wide_as_of_a_perfect_one():
    truth = np.arange(2000) >= 1990
    scores = np.arange(2000, dtype=float)
    scores[1990] = 1988.5  # one pair of 19,900 is the wrong way round
    patients = np.array([f"p{i}" for i in range(2000)])
    nearly = auc_estimate(truth, scores, patients, replicates=200)
    assert nearly is not None
    assert nearly.value == pytest.approx(1 - 1 / 19_900)
    assert nearly.low < clopper_pearson(10, 10)[0]
