"""Selective prediction: the risk (share of wrong calls) at every coverage (share of rows with a call).

After El-Yaniv and Wiener 2010 (J. Mach. Learn. Res. 11:1605). The most confident calls come first.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.decision.thresholds import midpoint


class Band(NamedTuple):
    """An abstention band: scores between its ends get no call.

    Attributes:
        low: A score at or below it is called negative.
        high: A score at or above it is called positive.
        error: Share (0 to 1) of wrong calls outside the band.
        coverage: Share (0 to 1) of rows outside the band.
    """

    low: float
    high: float
    error: float
    coverage: float


def confidence(scores: npt.ArrayLike, threshold: float) -> FloatArray:
    """Distance of each score from the threshold: 0 at the threshold, 1 at the end of its own side.

    Args:
        scores: 0 to 1, shape [n].
        threshold: The locked operating point, 0 to 1.
    """
    score = np.asarray(scores, np.float64)
    above = (score - threshold) / max(1.0 - threshold, 1e-12)
    below = (threshold - score) / max(threshold, 1e-12)
    return np.where(score >= threshold, above, below)


def risk_coverage(
    truth: BoolArray, scores: npt.ArrayLike, threshold: float, weights: npt.ArrayLike | None = None
) -> list[tuple[float, float]]:
    """(coverage, risk) at every distinct confidence, by rising coverage.

    Args:
        truth: Whether each row is positive, shape [n].
        scores: 0 to 1, shape [n].
        threshold: A row is called positive at or above it.
        weights: Weight of each row, at least 0, shape [n]; 1 where None.

    Returns:
        Empty where no row has weight.
    """
    coverage, risk, _ = _curve(truth, scores, threshold, weights)
    return list(zip(coverage.tolist(), risk.tolist(), strict=True))


def aurc(
    truth: BoolArray, scores: npt.ArrayLike, threshold: float, weights: npt.ArrayLike | None = None
) -> float:
    """Area under the risk-coverage curve, 0 to 1, lower is better; NaN where no row has weight."""
    coverage, risk, _ = _curve(truth, scores, threshold, weights)
    if not len(coverage):
        return math.nan
    return float(np.sum(risk * np.diff(coverage, prepend=0.0)))


def band_for_selective_risk(
    truth: BoolArray, scores: npt.ArrayLike, threshold: float, target_selective_risk: float
) -> Band:
    """The narrowest band round the threshold outside which at most a given share of the calls is wrong.

    Chosen on validation data and then locked, like the threshold itself.

    Args:
        truth: Whether each row is positive, shape [n].
        scores: 0 to 1, shape [n].
        threshold: The locked operating point.
        target_selective_risk: 0 to 1.

    Returns:
        Where no band suffices, one that abstains on everything, with error and coverage 0.
    """
    coverage, risk, least = _curve(truth, scores, threshold, None)
    enough = np.flatnonzero(risk <= target_selective_risk + 1e-12)
    if not len(enough):
        return Band(-math.inf, math.inf, 0.0, 0.0)
    last = enough[-1]
    return Band(
        low=threshold - float(least[last]) * threshold,
        high=threshold + float(least[last]) * (1.0 - threshold),
        error=float(risk[last]),
        coverage=float(coverage[last]),
    )


def calls_needed(target_selective_risk: float, confidence_level: float) -> int:
    """The fewest calls with which :func:`guaranteed_band` can promise a selective risk: none of them observed to be wrong.

    Args:
        target_selective_risk: 0 to 1, both excluded.
        confidence_level: 0.5 to 1, both excluded.
    """
    # With one more call counted as wrong: P(Binomial(n, risk) ≤ 1), below exp(−n · risk) · (1 + n · risk) · e.
    most = math.ceil((4.0 - 2.0 * math.log1p(-confidence_level)) / target_selective_risk)
    enough = bdtr(1, np.arange(2, most + 3), target_selective_risk) <= 1.0 - confidence_level
    return 2 + int(np.argmax(enough))


def guaranteed_band(
    truth: BoolArray,
    scores: npt.ArrayLike,
    threshold: float,
    target_selective_risk: float,
    confidence_level: float,
) -> Band | None:
    """The narrowest band above the threshold outside which a share of wrong calls is not exceeded, with a confidence.

    Everything below the threshold is called negative. The upper end is lowered from 1, score by score, and the exact binomial
    test of "more than the target are wrong" is made at each: a fixed sequence that ends at the first test that does not reject
    controls the error of all of them (Learn then Test: Angelopoulos et al. 2021, arXiv:2110.01052). The lowest positive row that
    is flagged counts as one more wrong call, because the threshold was chosen so that few positive rows lie below it.

    Args:
        truth: Whether each patient is positive, shape [n].
        scores: 0 to 1, shape [n].
        threshold: The locked operating point.
        target_selective_risk: 0 to 1.
        confidence_level: 0 to 1.

    Returns:
        The band, with the observed error and coverage; None where none can be guaranteed.
    """
    score = np.asarray(scores, np.float64)
    order = np.argsort(-score, kind="stable")
    above = order[score[order] >= threshold]
    below, missed = int((score < threshold).sum()), int((truth & (score < threshold)).sum())
    fewest = calls_needed(target_selective_risk, confidence_level)
    wrong = missed + np.concatenate([[0], np.cumsum(~truth[above])])
    called = -1
    # Equal scores are called together.
    ends = np.flatnonzero(np.append(np.diff(score[above], prepend=math.inf) != 0, True))
    for count in ends.tolist():
        calls = below + count
        if calls < fewest:
            continue
        if (
            wrong[count] + 1 >= calls
            or bdtr(wrong[count] + 1, calls, target_selective_risk) > 1.0 - confidence_level
        ):
            break
        called = count
    if called < 0:
        return None
    # Between the last score that is called and the next: the threshold itself where all are called.
    upper = 1.0 if not called else float(score[above[called - 1]])
    high = midpoint(float(score[above[called]]) if called < len(above) else threshold, upper)
    calls = below + called
    return Band(threshold, high, float(wrong[called]) / calls, calls / len(score))


def score_for_selective_risk(
    right: BoolArray, scores: npt.ArrayLike, target_selective_risk: float
) -> float | None:
    """The lowest score at or above which at most a given share of the labels is wrong.

    Args:
        right: Whether the likeliest label of each row is the true one, shape [n].
        scores: Of that label, 0 to 1, shape [n].
        target_selective_risk: 0 to 1.

    Returns:
        None where not even the highest scores are right often enough.
    """
    score = np.asarray(scores, np.float64)
    order = np.argsort(-score, kind="stable")
    wrong = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    ends = (
        np.flatnonzero(np.append(np.diff(score[order]) != 0, True)) if len(order) else np.zeros(0, np.int64)
    )
    enough = ends[wrong[ends] <= target_selective_risk + 1e-12]
    return float(score[order][enough[-1]]) if len(enough) else None


def _curve(
    truth: BoolArray, scores: npt.ArrayLike, threshold: float, weights: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Coverage, risk and confidence at each distinct confidence, the highest first."""
    score = np.asarray(scores, np.float64)
    weight = np.ones(len(score)) if weights is None else np.asarray(weights, np.float64)
    own = confidence(score, threshold)
    wrong = (score >= threshold) != truth
    order = np.argsort(-own, kind="stable")
    order = order[weight[order] > 0]
    if not len(order):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    called, errors = np.cumsum(weight[order]), np.cumsum(weight[order] * wrong[order])
    ends = np.flatnonzero(np.append(own[order][1:] != own[order][:-1], True))
    return called[ends] / called[-1], errors[ends] / called[ends], own[order][ends]
