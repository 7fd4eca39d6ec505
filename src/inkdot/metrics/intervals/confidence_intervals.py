"""Confidence intervals over patients: percentile bootstrap, and exact binomial where counts are small.

Tiles of one patient resemble each other, so the bootstrap draws patients, not tiles.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtr, stdtrit

from inkdot.metrics.classification import BoolArray, FloatArray, average_precision, roc_auc

BOOTSTRAP = "bootstrap over patients"
CLOPPER_PEARSON = "Clopper-Pearson, each patient counted as one observation"
TOO_FEW = "too few patients for an interval"

_FEWEST_PATIENTS = 3
"""With fewer patients of a class a bootstrap only repeats them, and its interval would be meaningless."""

_FEWEST_OF_MANY_ROWS, _MANY = 5, 3
"""The same where patients have more than three rows each, whose bootstrap over four patients is far too narrow."""

_FEW = 5
"""Fewer hits or misses than this are counted exactly: a bootstrap of nine of ten reaches 1, although one was missed."""

_COLLAPSED = 1e-3
"""Width below which a bootstrap says nothing about other patients: on perfect scores every draw is the same."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric and its interval.

    Attributes:
        value: The point estimate.
        low: Lower end.
        high: Upper end.
        method: How the interval was made.
    """

    value: float
    low: float
    high: float
    method: str

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def patient_bootstrap(
    statistic: Callable[[FloatArray], float],
    patients: npt.NDArray[np.str_],
    *,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[float, float] | None:
    """Percentile interval of a statistic when whole patients are drawn again and again with replacement.

    Percentiles are expanded for few patients, see :func:`bootstrap_tail`.

    Args:
        statistic: Gives the metric for row weights of shape [n] (how often each row's patient was drawn);
            NaN where it is undefined, and that replicate is left out.
        patients: Patient of each row, shape [n].
        replicates: Number of draws.
        seed: Same seed, same interval.
        confidence: Coverage of the interval, 0 to 1.

    Returns:
        Low and high end, or None where fewer than half of the replicates are defined.
    """
    names, owner = np.unique(patients, return_inverse=True)
    if not len(names):
        return None
    generator = np.random.default_rng(seed)
    values: list[float] = []
    for _ in range(replicates):
        drawn = np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))
        value = statistic(drawn[owner].astype(np.float64))
        if not math.isnan(value):
            values.append(value)
    if len(values) * 2 < replicates:
        return None
    tail = bootstrap_tail(len(names), confidence)
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def bootstrap_tail(patients: int, confidence: float) -> float:
    """Share of the draws to leave out at each end, so that few patients give an interval as wide as Student's t.

    A plain bootstrap of n patients is too narrow by sqrt((n − 1)/n), and takes the normal distribution for Student's
    (Hesterberg 2015, Am. Stat. 69:371, expanded percentiles).
    """
    if patients < 2:
        return 0.0
    freedom = patients - 1
    deviations = float(stdtrit(freedom, 0.5 + confidence / 2.0)) * math.sqrt(patients / freedom)
    return float(ndtr(-deviations))


def clopper_pearson(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval (Clopper and Pearson 1934, Biometrika 26:404) through beta quantiles.

    Args:
        successes: 0 to ``trials``; need not be whole, for shares of an effective sample size.
        trials: More than 0.
        confidence: Coverage of the interval, 0 to 1.

    Raises:
        ValueError: The counts are impossible.
    """
    if not (trials > 0 and 0 <= successes <= trials):
        raise ValueError(f"expected 0 <= successes <= trials, trials > 0; found {successes} of {trials}")
    tail = (1.0 - confidence) / 2.0
    failures = trials - successes
    low = 0.0 if successes <= 0 else float(betaincinv(successes, failures + 1.0, tail))
    high = 1.0 if failures <= 0 else float(betaincinv(successes + 1.0, failures, 1.0 - tail))
    return low, high


def bootstrap_estimate(
    statistic: Callable[[FloatArray], float],
    patients: npt.NDArray[np.str_],
    *,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    sides: Sequence[BoolArray] = (),
) -> Estimate | None:
    """Any statistic of weighted rows that lies between 0 and 1, with its bootstrap interval over patients.

    Args:
        statistic: See :func:`patient_bootstrap`.
        patients: Patient of each row, shape [n].
        replicates: Number of draws.
        seed: Same seed, same interval.
        confidence: Coverage of the interval, 0 to 1.
        sides: Rows, each of shape [n], that must come from at least three patients each, such as the positive ones and
            the negative ones; without any, all rows together.

    Returns:
        None where the statistic is undefined on all rows; an interval from 0 to 1 where patients are too few. Where every
        draw gives the same, the exact binomial interval for as many observations as the rarer side has patients.
    """
    value = statistic(np.ones(len(patients)))
    if math.isnan(value):
        return None
    interval = None
    parts = [patients[side] for side in sides] or [patients]
    counts = [len(np.unique(part)) for part in parts]
    if not any(too_few_patients(part) for part in parts):
        interval = patient_bootstrap(
            statistic, patients, replicates=replicates, seed=seed, confidence=confidence
        )
    if interval is None:
        return Estimate(value, 0.0, 1.0, TOO_FEW)
    if interval[1] - interval[0] < _COLLAPSED:
        return _counted(value, min(counts), confidence)
    # Resampling pushes some statistics (a calibration error) upwards; an interval must still hold its metric.
    return Estimate(value, min(interval[0], value), max(interval[1], value), BOOTSTRAP)


def auc_estimate(
    truth: BoolArray,
    scores: npt.ArrayLike,
    patients: npt.NDArray[np.str_],
    *,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate | None:
    """ROC AUC with a bootstrap interval over patients, or None where a class is missing.

    With fewer than three patients of a class the interval is 0 to 1. With nearly perfect separation, where all replicates
    are the same, it is the exact binomial interval for as many observations as the rarer class has patients.
    """
    score = np.asarray(scores, np.float64)
    value = roc_auc(truth, score)
    if math.isnan(value):
        return None
    rarer = min(len(np.unique(patients[truth])), len(np.unique(patients[~truth])))
    if too_few_patients(patients[truth]) or too_few_patients(patients[~truth]):
        return Estimate(value, 0.0, 1.0, TOO_FEW)
    order = np.argsort(score, kind="stable")
    sorted_truth, sorted_score = truth[order], score[order]
    interval = patient_bootstrap(
        lambda weights: roc_auc(sorted_truth, sorted_score, weights),
        patients[order],
        replicates=replicates,
        seed=seed,
        confidence=confidence,
    )
    if interval is None:
        return Estimate(value, 0.0, 1.0, TOO_FEW)
    if interval[1] - interval[0] < _COLLAPSED:
        return _counted(value, rarer, confidence)
    return Estimate(value, *interval, BOOTSTRAP)


def average_precision_estimate(
    truth: BoolArray,
    scores: npt.ArrayLike,
    patients: npt.NDArray[np.str_],
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Estimate | None:
    """Average precision with a bootstrap interval over patients, or None where a class is missing.

    Without a negative row it would be 1, whatever the scores.
    """
    if truth.all():
        return None
    score = np.asarray(scores, np.float64)
    return bootstrap_estimate(
        lambda weights: average_precision(truth, score, weights),
        patients,
        replicates=replicates,
        seed=seed,
        sides=[truth, ~truth],
    )


def sensitivity_specificity(
    truth: BoolArray, called: BoolArray, patients: npt.NDArray[np.str_], *, seed: int = 0
) -> dict[str, Estimate | None]:
    """Shares of positive rows that are called and of negative rows that are not; None where there are no such rows.

    Args:
        truth: Whether each row is positive, shape [n].
        called: Whether each row is called positive, shape [n].
        patients: Patient of each row, shape [n].
        seed: Seed of the bootstrap.
    """
    return {
        "sensitivity": share_estimate(called[truth], patients[truth], seed=seed),
        "specificity": share_estimate(~called[~truth], patients[~truth], seed=seed),
    }


def share_estimate(
    hits: BoolArray,
    patients: npt.NDArray[np.str_],
    *,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate | None:
    """Share of rows that are hits, with an interval over patients, or None where there are no rows.

    Where the bootstrap collapses (all or none are hits), there are fewer than three patients, or each patient has one
    row and hits or misses are few, it is the exact binomial interval, with each patient counted as one observation: the
    limit for rows that may be copies of each other.
    """
    if not len(hits):
        return None
    value = float(hits.mean())
    count = len(np.unique(patients))

    def share(weights: FloatArray) -> float:
        total = weights.sum()
        return float(weights[hits].sum() / total) if total > 0 else math.nan

    interval = None
    few = count == len(hits) and min(hits.sum(), (~hits).sum()) < _FEW
    if not (few or too_few_patients(patients)):
        interval = patient_bootstrap(share, patients, replicates=replicates, seed=seed, confidence=confidence)
    if interval is None or interval[1] - interval[0] < _COLLAPSED:
        return _counted(value, count, confidence)
    return Estimate(value, *interval, BOOTSTRAP)


def too_few_patients(patients: npt.NDArray[np.str_]) -> bool:
    """Whether these rows have too few patients for a bootstrap."""
    count = len(np.unique(patients))
    return count < (_FEWEST_OF_MANY_ROWS if len(patients) > _MANY * count else _FEWEST_PATIENTS)


def _counted(value: float, patients: int, confidence: float) -> Estimate:
    """A metric of 0 to 1 as if so many patients had been counted, each a hit or a miss."""
    hits = min(max(value, 0.0), 1.0) * patients
    return Estimate(value, *clopper_pearson(hits, patients, confidence), CLOPPER_PEARSON)
