"""DeLong's test against its equations over all pairs, computed directly, and simulated studies."""

import numpy as np
import pytest

from inkdot.metrics.intervals.delong import CLUSTERED, DELONG, auc_covariance, delong_test, holm

# Albumin, total protein, K-G score (low is good) and outcome of the patients of DeLong, DeLong and Clarke-Pearson 1988 who have
# all three tests, data of SAS/STAT User's Guide, PROC LOGISTIC, "Comparing Receiver Operating Characteristic Curves".
OVARIAN_CANCER = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""


def surgery() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rows = np.array(OVARIAN_CANCER.split(), np.float64).reshape(-1, 4)
    return rows[:, 3] > 0.5, {"albumin": rows[:, 0], "protein": rows[:, 1], "kg": 10.0 - rows[:, 2]}


def covariance_over_all_pairs(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """DeLong 1988, equations 4 to 6, every positive row against every negative one."""
    wins = [
        (own[truth][:, None] > own[~truth]) + 0.5 * (own[truth][:, None] == own[~truth]) for own in scores
    ]
    of_positives = np.cov([own.mean(axis=1) for own in wins])
    of_negatives = np.cov([own.mean(axis=0) for own in wins])
    return of_positives / truth.sum() + of_negatives / (~truth).sum()


def draw(generator: np.random.Generator, patients: int, rows: int = 1) -> tuple[np.ndarray, ...]:
    """Truth, two correlated scores of the same AUC, and patients; a patient's rows have a part in common."""
    owner = np.repeat(np.arange(patients), rows)
    truth = (np.arange(patients) % 3 == 0)[owner]
    shared = 1.2 * truth + generator.normal(size=patients)[owner]
    scores = [shared + generator.normal(size=patients)[owner] + generator.normal(size=len(owner)) for _ in range(2)]  # fmt: skip
    return truth, scores[0], scores[1], owner.astype(np.str_)


def test_the_example_of_1988_gives_the_areas_and_errors_that_are_computed_directly():
    truth, scores = surgery()
    stacked = np.stack([scores["albumin"], scores["kg"], scores["protein"]])
    found = auc_covariance(truth, stacked)
    direct = covariance_over_all_pairs(truth, stacked)
    assert found.covariance == pytest.approx(direct, abs=1e-15)
    # Rounded results of the same equations; no published output was at hand to compare with.
    assert found.aucs == pytest.approx([0.7366, 0.7258, 0.6478], abs=5e-5)
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx([0.0927, 0.1028, 0.1000], abs=1e-4)
    test = delong_test(truth, scores["protein"], scores["kg"])
    assert test is not None
    assert (test.value, test.value / test.z) == pytest.approx((-0.0780, 0.1046), abs=5e-5)
    assert (test.z**2, test.p) == pytest.approx((0.5554, 0.4561), abs=1e-4)
    assert test.method == DELONG


def test_placements_by_sorting_are_those_of_all_pairs_with_ties():
    generator = np.random.default_rng(3)
    truth = generator.random(157) < 0.3
    scores = np.round(
        generator.normal(size=(3, 157)) + truth, 1
    )  # rounded: many ties within and between classes
    assert auc_covariance(truth, scores).covariance == pytest.approx(
        covariance_over_all_pairs(truth, scores), abs=1e-15
    )


def test_copies_of_a_patients_rows_change_nothing_when_clustered():
    truth, one, other, patients = draw(np.random.default_rng(4), 90)
    alone = delong_test(truth, one, other, patients)
    copied = delong_test(*(np.repeat(own, 5) for own in (truth, one, other, patients)))
    assert alone is not None
    assert copied is not None
    assert (copied.low, copied.high, copied.p) == pytest.approx((alone.low, alone.high, alone.p), abs=1e-12)
    assert copied.method == CLUSTERED
    naive = delong_test(*(np.repeat(own, 5) for own in (truth, one, other)))
    assert naive is not None
    assert naive.high - naive.low < 0.5 * (copied.high - copied.low)


@pytest.mark.parametrize("rows", [1, 4])
def test_intervals_hold_the_truth_in_95_of_100_studies(rows: int):
    generator = np.random.default_rng(7)
    tests = [delong_test(*draw(generator, 120, rows)) for _ in range(1500)]
    held = np.mean([test is not None and test.low <= 0.0 <= test.high for test in tests])
    assert 0.93 <= held <= 0.97
    rejected = np.mean([test is not None and test.p < 0.05 for test in tests])
    assert rejected == pytest.approx(1.0 - held, abs=1e-12)


def test_a_patient_with_rows_of_both_classes_is_one_patient():
    # Obuchowski 1997: what a patient's positive and negative rows share enters the variance.
    generator = np.random.default_rng(11)
    held = 0
    for _ in range(1000):
        owner = np.repeat(np.arange(60), 4)
        truth = np.tile([True, False, False, False], 60)
        gain = generator.normal(size=60)[owner]  # separates the classes better in some patients
        scores = [truth * (1.0 + gain) + generator.normal(size=len(owner)) for _ in range(2)]
        test = delong_test(truth, *scores, owner.astype(np.str_))
        held += test is not None and test.low <= 0.0 <= test.high
    assert 930 <= held <= 970


def test_no_test_without_variance_or_classes():
    truth = np.array([True, True, False, False])
    scores = np.array([0.9, 0.4, 0.5, 0.1])
    assert delong_test(truth, scores, scores * 0.5) is None  # the same order
    assert delong_test(truth, [4, 3, 2, 1], [9, 8, 2, 1]) is None  # both perfect
    assert delong_test(np.ones(4, np.bool_), scores, scores) is None
    assert delong_test(truth, scores, scores[::-1], np.array(["a", "a", "b", "c"])) is None
    with pytest.raises(ValueError, match="both classes"):
        auc_covariance(np.zeros(4, np.bool_), scores[None])


def test_holm_is_that_of_r():
    # p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") in R
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.8, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
