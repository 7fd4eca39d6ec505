"""Sample sizes against SciPy's own tests and intervals, tables of the literature, RJafroc, and simulations."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest, f

from inkdot.metrics.intervals.confidence_intervals import clopper_pearson
from inkdot.metrics.reader_study import (
    VAN_DYKE,
    Design,
    VarianceComponents,
    cases_for_reader_study,
    reader_study_power,
)
from inkdot.metrics.sample_size import (
    discordant_if_independent,
    expected_interval,
    half_widths,
    mcnemar_power,
    patients_for_interval,
    patients_for_mcnemar,
    patients_for_positives,
    positives_for_lock,
)


@pytest.mark.parametrize("patients", [1, 7, 40])
def test_half_widths_are_those_of_scipys_exact_interval(patients: int) -> None:
    for hits, half in enumerate(half_widths(patients, 0.9)):
        own = binomtest(hits, patients).proportion_ci(0.9, "exact")
        assert half == pytest.approx((own.high - own.low) / 2, abs=1e-12)


@pytest.mark.parametrize(("sensitivity", "half_width"), [(0.95, 0.05), (0.9, 0.1), (0.8, 0.04)])
def test_one_patient_less_has_a_wider_interval(sensitivity: float, half_width: float) -> None:
    def mean(patients: int) -> float:
        weights = [1.0]
        for _ in range(patients):  # the binomial distribution, step by step
            weights = [
                (weights[k] if k < len(weights) else 0.0) * (1 - sensitivity)
                + (weights[k - 1] if k else 0.0) * sensitivity
                for k in range(len(weights) + 1)
            ]
        return sum(
            weight * (clopper_pearson(k, patients)[1] - clopper_pearson(k, patients)[0]) / 2
            for k, weight in enumerate(weights)
        )

    needed = patients_for_interval(sensitivity, half_width)
    assert mean(needed) <= half_width < mean(needed - 1)


def test_any_result_has_the_interval_of_one_half_and_an_assured_one_lies_between() -> None:
    # Exact interval of ±5 % at one half: 402, where the normal approximation says 385.
    assert patients_for_interval(0.95, 0.05, width="any") == 402
    expected, assured = (patients_for_interval(0.95, 0.05, width=own) for own in ("expected", "assured"))
    assert expected < assured < 402
    drawn = np.random.default_rng(0).binomial(assured, 0.95, 20_000)
    assert (half_widths(assured)[drawn] <= 0.05).mean() >= 0.89


def test_the_mean_interval_holds_the_truth_and_narrows() -> None:
    low, high = expected_interval(0.9, 50)
    assert low < 0.9 < high
    drawn = np.random.default_rng(0).binomial(50, 0.9, 50_000)
    assert high - low == pytest.approx(2 * float(half_widths(50)[drawn].mean()), abs=0.002)
    assert expected_interval(0.9, 200)[0] > low


def test_patients_for_a_lock_are_those_of_tolerance_limits() -> None:
    # One-sided 95/95 limits, the widely printed table of Wilks' formula by number of exceedances.
    assert [positives_for_lock(0.95, 0.95, misses) for misses in range(6)] == [59, 93, 124, 153, 181, 208]
    assert positives_for_lock(0.9, 0.95) == 29
    assert positives_for_lock(0.95, 0.8) == 32
    assert positives_for_lock(0.99, 0.95) == 299


def test_a_locked_threshold_keeps_its_promise_in_simulation() -> None:
    generator, sensitivity, confidence, misses = np.random.default_rng(1), 0.9, 0.8, 2
    patients = positives_for_lock(sensitivity, confidence, misses)
    for count in (patients, patients - 1):
        scores = np.sort(generator.random((40_000, count)), axis=1)
        true_sensitivity = (
            1 - scores[:, misses]
        )  # uniform scores: the share of patients at or above the threshold
        assert (true_sensitivity >= sensitivity).mean() == pytest.approx(
            1 - binomtest(misses, count, 1 - sensitivity, "less").pvalue, abs=0.008
        )
    below, enough = (
        1 - binomtest(misses, count, 1 - sensitivity, "less").pvalue for count in (patients - 1, patients)
    )
    assert below < confidence <= enough


def test_enough_patients_hold_enough_positive_ones() -> None:
    total = patients_for_positives(59, 0.1)
    drawn = np.random.default_rng(0).binomial(np.array([[total], [total - 8]]), 0.1, (2, 40_000))
    shares = (drawn >= 59).mean(axis=1)
    assert shares[0] >= 0.895
    assert shares[1] < 0.9
    assert patients_for_positives(59, 1.0) == 59


def test_power_of_mcnemars_test_is_that_of_simulated_studies() -> None:
    only_a, only_b, patients = 0.05, 0.15, 120
    generator = np.random.default_rng(0)
    drawn = generator.multinomial(patients, [only_a, only_b, 1 - only_a - only_b], 4000)
    cache: dict[tuple[int, int], bool] = {}
    for a, b in {(int(a), int(b)) for a, b, _ in drawn}:
        cache[a, b] = a + b > 0 and binomtest(a, a + b, 0.5).pvalue <= 0.05
    simulated = np.mean([cache[int(a), int(b)] for a, b, _ in drawn])
    assert mcnemar_power(only_a, only_b, patients) == pytest.approx(simulated, abs=0.025)
    assert mcnemar_power(0.1, 0.1, patients) <= 0.05  # an exact test keeps its level
    needed = patients_for_mcnemar(only_a, only_b)
    assert mcnemar_power(only_a, only_b, needed) >= 0.8 > mcnemar_power(only_a, only_b, needed - 1)


def test_models_that_err_independently_disagree_most_often_where_both_are_poor() -> None:
    assert discordant_if_independent(0.9, 0.8) == pytest.approx(0.26)
    assert discordant_if_independent(0.5, 0.5) == 0.5


def test_power_of_a_crossed_reader_study_is_that_of_rjafroc() -> None:
    observed = 0.043800322  # the difference found in Van Dyke's data
    assert cases_for_reader_study(observed, 6, VAN_DYKE) == 251  # RJafroc's tests, dataset02
    assert cases_for_reader_study(observed, 10, VAN_DYKE) == 163
    assert reader_study_power(observed, 6, 111, VAN_DYKE) == pytest.approx(0.5526116, abs=2e-6)


def test_too_few_readers_are_not_made_up_for_by_cases() -> None:
    assert cases_for_reader_study(0.02, 3, VAN_DYKE) is None


@pytest.mark.parametrize("design", ["crossed", "two-arm"])
def test_power_of_a_reader_study_is_that_of_simulated_ones(design: Design) -> None:
    """Studies drawn from the model itself, analysed by the F test that the power is of."""
    readers, cases, difference, studies = 8, 200, 0.06, 6000
    own = VarianceComponents(0.0008, 0.0002, 0.00035, 0.00033, 0.00024, 0.0008, 100)
    generator, scale = np.random.default_rng(0), own.cases / cases
    shared = scale * own.cov3
    same_way = scale * (own.cov2 - own.cov3)
    same_reader = scale * (own.cov1 - own.cov3)
    rest = scale * own.var - shared - same_way - same_reader
    size = (studies, 2, readers)
    reader = generator.normal(0, own.var_r**0.5, (studies, 1 if design == "crossed" else 2, readers))
    error = generator.normal(0, same_way**0.5, (studies, 2, 1)) + generator.normal(0, rest**0.5, size)
    if design == "crossed":
        error = error + generator.normal(0, same_reader**0.5, (studies, 1, readers))
    else:  # other readers: what a reader shares with itself is its own in each arm
        error = error + generator.normal(0, same_reader**0.5, size)
    auc = reader + generator.normal(0, own.var_tr**0.5, size) + error
    auc[:, 1] += difference
    arms = auc.mean(axis=2)
    between = readers * ((arms - arms.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    if design == "crossed":
        grand = auc.mean(axis=(1, 2), keepdims=True)
        off = auc - auc.mean(axis=1, keepdims=True) - auc.mean(axis=2, keepdims=True) + grand
        square, free = (off**2).sum(axis=(1, 2)) / (readers - 1), readers - 1
    else:
        square, free = ((auc - arms[..., None]) ** 2).sum(axis=(1, 2)) / (2 * (readers - 1)), 2 * (readers - 1)  # fmt: skip
    whole = square + readers * same_way
    rejected = (between / whole > f.isf(0.05, 1, (whole / square) ** 2 * free)).mean()
    assert reader_study_power(difference, readers, cases, own, design) == pytest.approx(rejected, abs=0.025)


@pytest.mark.parametrize(
    "call",
    [
        lambda: patients_for_interval(1.2, 0.05),
        lambda: patients_for_interval(0.9, 0.0),
        lambda: positives_for_lock(1.0, 0.95),
        lambda: positives_for_lock(0.9, 0.95, -1),
        lambda: patients_for_positives(10, 0.0),
        lambda: patients_for_mcnemar(0.1, 0.1),
        lambda: reader_study_power(0.05, 1, 100, VAN_DYKE),
    ],
)
def test_impossible_questions_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"expected .* found"):
        call()
