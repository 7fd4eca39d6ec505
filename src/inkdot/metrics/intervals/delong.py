"""DeLong's test: the difference of two AUCs on the same patients, and its exact companion for several rows per patient.

DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837, estimate the covariance of AUCs from placement values: the share
of the other class that a row outranks. Placements are found by sorting, as in Sun and Xu 2014, IEEE Signal Processing
Letters 21:1389, and not from all pairs. Where patients have several rows, placements are summed by patient (Obuchowski 1997,
Biometrics 53:567); with one row per patient both are the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from inkdot.metrics.classification import BoolArray, FloatArray

DELONG = "DeLong 1988"
CLUSTERED = "DeLong 1988, rows clustered by patient (Obuchowski 1997)"

_FEWEST = 2
"""Patients of a class without which it has no variance."""


@dataclass(frozen=True, slots=True)
class AucCovariance:
    """AUCs of several scores on the same rows, and how they vary together.

    Attributes:
        aucs: Shape [k].
        covariance: Shape [k, k]; NaN where a class has fewer than two patients.
        method: ``DELONG`` where each patient has one row, else ``CLUSTERED``.
    """

    aucs: FloatArray
    covariance: FloatArray
    method: str


@dataclass(frozen=True, slots=True)
class AucDifference:
    """DeLong's test of two AUCs.

    Attributes:
        value: The first AUC less the second.
        low: Lower end of its interval.
        high: Upper end of its interval.
        z: The difference over its standard error.
        p: Two-sided p-value of no difference.
        method: See :class:`AucCovariance`.
    """

    value: float
    low: float
    high: float
    z: float
    p: float
    method: str


def auc_covariance(
    truth: BoolArray, scores: FloatArray, patients: npt.NDArray[np.str_] | None = None
) -> AucCovariance:
    """AUCs and their covariance.

    Args:
        truth: Whether each row is positive, shape [n].
        scores: Of each of k models, higher means more positive, shape [k, n].
        patients: Patient of each row, shape [n]; each row is a patient of its own where None.

    Raises:
        ValueError: A class is missing.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        raise ValueError(
            f"expected rows of both classes, found {positives} positive and {negatives} negative"
        )
    names = np.arange(len(truth)) if patients is None else patients
    count, owner = len(np.unique(names)), np.unique(names, return_inverse=True)[1]
    above = np.stack([_share_below(own[truth], own[~truth]) for own in scores])
    below = np.stack([1.0 - _share_below(own[~truth], own[truth]) for own in scores])
    aucs = above.mean(axis=1)
    # Sums by patient of what its rows place above or below the mean.
    of_positives = _sums(above - aucs[:, None], owner[truth], count)
    of_negatives = _sums(below - aucs[:, None], owner[~truth], count)
    patients_of = [len(np.unique(owner[side])) for side in (truth, ~truth)]
    if min(patients_of) < _FEWEST:
        covariance = np.full((len(scores), len(scores)), math.nan)
    else:
        both = _unbiased(count) * (of_positives @ of_negatives.T) / (positives * negatives)
        covariance = (
            _unbiased(patients_of[0]) * (of_positives @ of_positives.T) / positives**2
            + _unbiased(patients_of[1]) * (of_negatives @ of_negatives.T) / negatives**2
            + both
            + both.T
        )
    return AucCovariance(aucs, covariance, DELONG if count == len(truth) else CLUSTERED)


def delong_test(
    truth: BoolArray,
    one: npt.ArrayLike,
    other: npt.ArrayLike,
    patients: npt.NDArray[np.str_] | None = None,
    *,
    confidence: float = 0.95,
) -> AucDifference | None:
    """Test whether two scores of the same rows have the same AUC.

    Args:
        truth: Whether each row is positive, shape [n].
        one: Scores of one model, shape [n].
        other: Scores of the other, shape [n].
        patients: Patient of each row, shape [n]; each row is a patient of its own where None.
        confidence: Coverage of the interval, 0 to 1.

    Returns:
        None where the difference has no variance: both rank all rows alike, or separate the classes perfectly, or a class is
        missing or of one patient.
    """
    if truth.all() or not truth.any():
        return None
    found = auc_covariance(truth, np.stack([np.asarray(own, np.float64) for own in (one, other)]), patients)
    contrast = np.array([1.0, -1.0])
    value, variance = float(contrast @ found.aucs), float(contrast @ found.covariance @ contrast)
    if not variance > 1e-15:  # rounding leaves some where both are the same; NaN too is no variance
        return None
    error = math.sqrt(variance)
    half = float(ndtri(0.5 + confidence / 2.0)) * error
    z = value / error
    return AucDifference(value, value - half, value + half, z, 2.0 * float(ndtr(-abs(z))), found.method)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm 1979, Scandinavian Journal of Statistics 6:65), in their order.

    Any of them below a level of 5 % keeps the chance of one false finding among all of them below 5 %.
    """
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def _share_below(own: FloatArray, others: FloatArray) -> FloatArray:
    """Share of ``others`` below each of ``own``, ties counted half."""
    ordered = np.sort(others)
    below: FloatArray = np.searchsorted(ordered, own, "left").astype(np.float64)
    not_above: FloatArray = np.searchsorted(ordered, own, "right").astype(np.float64)
    return (below + not_above) / (2.0 * len(others))


def _sums(values: FloatArray, owner: npt.NDArray[np.intp], count: int) -> FloatArray:
    sums: FloatArray = np.stack([np.bincount(owner, own, count) for own in values]).astype(np.float64)
    return sums


def _unbiased(count: int) -> float:
    return count / (count - 1)
