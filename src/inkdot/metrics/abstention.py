"""Leaving close calls open: what error remains for how many labels.

Risk and coverage after El-Yaniv and Wiener 2010 (J. Mach. Learn. Res. 11:1605): the surest labels first, the error
among those given so far is the risk, their share the coverage.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray, FloatArray


class Band(NamedTuple):
    """Scores between these, both exclusive of the calls, are left open.

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


def sureness(scores: npt.ArrayLike, threshold: float) -> FloatArray:
    """How far each score is from the threshold: 0 at it, 1 at the end of its own side.

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
    """(coverage, risk) as ever less sure calls are given, rows of equal sureness together.

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


def area_under_risk(
    truth: BoolArray, scores: npt.ArrayLike, threshold: float, weights: npt.ArrayLike | None = None
) -> float:
    """Mean risk over all coverages, 0 to 1, lower is better; NaN where no row has weight."""
    coverage, risk, _ = _curve(truth, scores, threshold, weights)
    if not len(coverage):
        return math.nan
    return float(np.sum(risk * np.diff(coverage, prepend=0.0)))


def band_for_error(
    truth: BoolArray, scores: npt.ArrayLike, threshold: float, target_selective_risk: float
) -> Band:
    """The narrowest band round the threshold outside which at most a wanted share of the calls is wrong.

    Chosen on validation data and then locked, like the threshold itself.

    Args:
        truth: Whether each row is positive, shape [n].
        scores: 0 to 1, shape [n].
        threshold: The locked operating point.
        target_selective_risk: 0 to 1.

    Returns:
        Where no band suffices, the one that leaves everything open, with error and coverage 0.
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


def certainty_for_error(
    right: BoolArray, scores: npt.ArrayLike, target_selective_risk: float
) -> float | None:
    """The lowest score from which on at most a wanted share of the labels is wrong.

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
    """Coverage, risk and least sureness after each distinct sureness, the surest first."""
    score = np.asarray(scores, np.float64)
    weight = np.ones(len(score)) if weights is None else np.asarray(weights, np.float64)
    sure = sureness(score, threshold)
    wrong = (score >= threshold) != truth
    order = np.argsort(-sure, kind="stable")
    order = order[weight[order] > 0]
    if not len(order):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    given, errors = np.cumsum(weight[order]), np.cumsum(weight[order] * wrong[order])
    ends = np.flatnonzero(np.append(sure[order][1:] != sure[order][:-1], True))
    return given[ends] / given[-1], errors[ends] / given[ends], sure[order][ends]
