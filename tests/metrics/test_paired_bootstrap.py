"""Paired differences against SciPy's bootstrap."""

import numpy as np
import pytest
from scipy import stats

from inkdot.metrics.classification import roc_auc
from inkdot.metrics.intervals.confidence_intervals import BOOTSTRAP, TOO_FEW, bootstrap_tail
from inkdot.metrics.intervals.paired_bootstrap import SAME_EVERYWHERE, UNDEFINED, paired_difference


def scores_of_150() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    truth = generator.random(150) < 0.4
    shared = generator.normal(size=150) + truth
    one, other = (shared + spread * generator.normal(size=150) for spread in (0.4, 1.0))
    return truth, one, other, np.array([f"p{row}" for row in range(150)])


def test_interval_of_an_auc_difference_is_scipys():
    truth, one, other, patients = scores_of_150()

    def difference(rows: np.ndarray) -> float:
        return roc_auc(truth[rows], one[rows]) - roc_auc(truth[rows], other[rows])

    theirs = stats.bootstrap(
        (np.arange(150),), difference, paired=True, vectorized=False, method="percentile", n_resamples=4000,
        confidence_level=1.0 - 2.0 * bootstrap_tail(150, 0.95), rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    ours = paired_difference(
        lambda w: roc_auc(truth, one, w),
        lambda w: roc_auc(truth, other, w),
        patients,
        sides=[truth, ~truth],
        replicates=4000,
    )
    assert ours is not None
    assert ours.method == BOOTSTRAP
    assert ours.value == pytest.approx(difference(np.arange(150)), abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_pairing_makes_the_interval_narrower_than_that_of_unrelated_models():
    truth, one, _, patients = scores_of_150()
    near = one + 0.05 * np.random.default_rng(2).normal(size=150)
    far = truth + 1.1 * np.random.default_rng(3).normal(size=150)
    widths = []
    for other in (near, far):
        found = paired_difference(
            lambda w: roc_auc(truth, one, w), lambda w, own=other: roc_auc(truth, own, w), patients
        )
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert widths[0] < 0.3 * widths[1]


def test_intervals_hold_the_true_difference_in_95_of_100_studies():
    generator = np.random.default_rng(9)
    held = 0
    for _ in range(300):
        shared = generator.normal(size=60)
        one, other = (shared + generator.normal(size=60) for _ in range(2))
        found = paired_difference(
            lambda w, own=one: float(own @ w / w.sum()),
            lambda w, own=other: float(own @ w / w.sum()),
            np.arange(60).astype(np.str_),
            replicates=250,
        )
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.0 <= found.high
    assert 0.92 <= held / 300 <= 0.98


def test_where_there_is_no_interval_the_reason_is_given():
    truth = np.array([True, True, True, False, False, False])
    patients = np.array(list("abcdef"))
    sides = [truth, ~truth]
    perfect = np.where(truth, 2.0, 1.0)

    def auc(scores: np.ndarray):
        return lambda weights: roc_auc(truth, scores, weights)

    same = paired_difference(auc(perfect), auc(perfect * 2.0), patients, sides=sides)
    assert same is not None
    assert (same.value, same.low, same.high, same.method) == (0.0, None, None, SAME_EVERYWHERE)
    few = paired_difference(auc(perfect), auc(-perfect), np.array(list("aabcde")), sides=sides)
    assert few is not None
    assert (few.value, few.low, few.method) == (1.0, None, TOO_FEW)
    assert str(few) == f"+1.000 ({TOO_FEW})"
    assert paired_difference(lambda w: float("nan"), auc(perfect), patients) is None
    mostly = paired_difference(lambda w: 1.0 if (w == 1.0).all() else float("nan"), auc(perfect), patients)
    assert mostly is not None
    assert mostly.method == UNDEFINED
