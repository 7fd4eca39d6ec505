"""Decision curves: the net benefit of flagging by a model, against flagging all or none.

Vickers and Elkin 2006 (Med. Decis. Making 26:565). At a threshold probability ``t`` a user accepts ``(1 − t) / t`` needless
work-ups for one finding, so a false positive costs ``t / (1 − t)`` of a true positive:
``net benefit = true positives / n − false positives / n · t / (1 − t)``. Flagging none has a net benefit of 0.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.intervals.confidence_intervals import Estimate, bootstrap_tail, too_few_patients

MOVER = "MOVER from the intervals of sensitivity and specificity"


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """Net benefit by threshold probability.

    Attributes:
        thresholds: Threshold probabilities, rising, each of more than 0 and less than 1, shape [t].
        model: Net benefit of flagging what scores at or above the threshold, shape [t].
        low: Lower ends of its intervals, shape [t]; NaN where patients are too few.
        high: Upper ends, shape [t].
        flag_all: Net benefit of flagging all, shape [t].
    """

    thresholds: FloatArray
    model: FloatArray
    low: FloatArray
    high: FloatArray
    flag_all: FloatArray


def cost_of_false_positive(threshold_probability: npt.ArrayLike) -> FloatArray:
    """What a false positive costs in true positives, ``t / (1 − t)``.

    Raises:
        ValueError: A threshold probability is not more than 0 and less than 1.
    """
    threshold = np.asarray(threshold_probability, np.float64)
    if not ((threshold > 0.0) & (threshold < 1.0)).all():
        raise ValueError("expected threshold probabilities of more than 0 and less than 1, found others")
    return threshold / (1.0 - threshold)


def net_benefit(truth: BoolArray, called: BoolArray, threshold_probability: float) -> float:
    """Net benefit of calls, in true positives per row.

    Args:
        truth: Whether each row is positive, shape [n].
        called: Whether each row is flagged, shape [n].
        threshold_probability: More than 0 and less than 1.

    Returns:
        At most the share of positive rows; NaN without rows.
    """
    if not len(truth):
        return math.nan
    cost = float(cost_of_false_positive(threshold_probability))
    return float((truth & called).mean() - (~truth & called).mean() * cost)


def decision_curve(
    truth: BoolArray,
    scores: npt.ArrayLike,
    patients: npt.NDArray[np.str_],
    thresholds: npt.ArrayLike,
    *,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> DecisionCurve:
    """Net benefit at several threshold probabilities, with percentile intervals over draws of patients.

    The same draws serve all thresholds. The share of positive rows is drawn, too.

    Args:
        truth: Whether each row is positive, shape [n].
        scores: Calibrated probabilities, 0 to 1, shape [n].
        patients: Patient of each row, shape [n].
        thresholds: Shape [t].
        replicates: Number of draws.
        seed: Same seed, same intervals.
        confidence: Coverage of the intervals, 0 to 1.
    """
    threshold = np.asarray(thresholds, np.float64)
    cost = cost_of_false_positive(threshold)
    flagged = np.asarray(scores, np.float64)[:, None] >= threshold[None, :]
    true_positives, false_positives = flagged & truth[:, None], flagged & ~truth[:, None]
    gains = true_positives.astype(np.float64) - false_positives * cost
    share = float(truth.mean()) if len(truth) else math.nan
    rows = np.full(len(threshold), math.nan)
    model, low, high = (gains.mean(axis=0) if len(truth) else rows), rows, rows
    if not (too_few_patients(patients[truth]) or too_few_patients(patients[~truth])):
        names, owner = np.unique(patients, return_inverse=True)
        by_patient = np.zeros((len(names), len(threshold)))
        np.add.at(by_patient, owner, gains)
        sizes = np.bincount(owner, minlength=len(names)).astype(np.float64)
        generator = np.random.default_rng(seed)
        drawn = generator.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=replicates)
        draws = (drawn @ by_patient) / (drawn @ sizes)[:, None]
        tail = bootstrap_tail(len(names), confidence)
        low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0)
    return DecisionCurve(threshold, model, low, high, share - (1.0 - share) * cost)


def net_benefit_at_prevalence(
    sensitivity: Estimate, specificity: Estimate, prevalence: float, threshold_probability: float
) -> Estimate:
    """Net benefit of fixed calls where a stated share of patients is positive, with its interval.

    ``sensitivity · p − (1 − specificity) · (1 − p) · t / (1 − t)``. Sensitivity and specificity come from different patients; the
    interval of their weighted sum is recovered from theirs (MOVER, Zou and Donner 2008, Stat. Med. 27:1693).

    Args:
        sensitivity: Of the calls.
        specificity: Of the calls.
        prevalence: Share of positive patients, 0 to 1.
        threshold_probability: More than 0 and less than 1.
    """
    cost = float(cost_of_false_positive(threshold_probability))
    gain, loss = prevalence, (1.0 - prevalence) * cost
    value = gain * sensitivity.value - loss * (1.0 - specificity.value)
    below = math.hypot(
        gain * (sensitivity.value - sensitivity.low), loss * (specificity.value - specificity.low)
    )
    above = math.hypot(
        gain * (sensitivity.high - sensitivity.value), loss * (specificity.high - specificity.value)
    )
    return Estimate(value, value - below, value + above, MOVER)
