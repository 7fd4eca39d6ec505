"""Readers compared in two ways of reading, every reader on every case in both: Obuchowski and Rockette's analysis.

Readers and cases count as random samples. Obuchowski and Rockette 1995, Commun. Stat. Simul. Comput. 24:285, in the form of
Hillis, Obuchowski and Berbaum 2011, Acad. Radiol. 18:129, with covariances by the jackknife over patients and the degrees of
freedom of Hillis 2007, Stat. Med. 26:596. This is what the R package MRMCaov computes.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from inkdot.metrics.classification import BoolArray, FloatArray, roc_auc
from inkdot.metrics.intervals.confidence_intervals import Estimate, clopper_pearson

RANDOM_READERS = "Obuchowski-Rockette, readers and cases random"
ONE_READER = "jackknife over patients, this reader alone"
NO_VARIANCE = "Clopper-Pearson on as many patients, since no reading differs"

_NEGLIGIBLE = 1e-12


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """A metric, averaged over readers, in two arms.

    Attributes:
        first: In the first arm.
        second: In the second arm.
        difference: Second less first, -1 to 1.
        readers: Readers.
        patients: Patients that the metric rests on.
    """

    first: Estimate
    second: Estimate
    difference: Estimate
    readers: int
    patients: int


def compare_shares(
    correct: BoolArray, patients: npt.NDArray[np.str_], confidence: float = 0.95
) -> ArmComparison:
    """Compare a share of right readings, such as a sensitivity (of positive cases) or a specificity (of negative ones).

    Args:
        correct: Whether each reading was right, shape [2, readers, cases], of the cases of one class.
        patients: Patient of each case, shape [cases].
        confidence: Of the intervals, 0 to 1.

    Raises:
        ValueError: There are fewer than two patients.
    """
    return _means(correct.astype(np.float64), patients, confidence, bounded=True)


def _means(
    values: FloatArray, patients: npt.NDArray[np.str_], confidence: float, *, bounded: bool
) -> ArmComparison:
    members = np.unique(patients, return_inverse=True)[1]
    count = int(members.max()) + 1 if len(members) else 0
    _check(count)
    arms, readers, cases = values.shape
    flat = values.reshape(arms * readers, cases)
    own = np.zeros((count, arms * readers))
    np.add.at(own, members, flat.T)
    sizes = np.bincount(members, minlength=count)[:, None]
    left_out = (flat.sum(axis=1) - own) / (cases - sizes)
    return _compared(flat.mean(axis=1).reshape(arms, readers), left_out, confidence, bounded=bounded)


def compare_means(
    values: FloatArray, patients: npt.NDArray[np.str_], confidence: float = 0.95
) -> ArmComparison:
    """Compare the mean of any number per reading, such as seconds; intervals have no bounds.

    Args:
        values: Shape [2, readers, cases].
        patients: Patient of each case, shape [cases].
        confidence: Of the intervals, 0 to 1.

    Raises:
        ValueError: There are fewer than two patients.
    """
    return _means(values, patients, confidence, bounded=False)


def compare_auc(
    truth: BoolArray, ratings: FloatArray, patients: npt.NDArray[np.str_], confidence: float = 0.95
) -> ArmComparison:
    """Compare the area under the ROC curve of ratings.

    Args:
        truth: Whether each case is positive, shape [cases].
        ratings: Higher for more suspicious, shape [2, readers, cases].
        patients: Patient of each case, shape [cases].
        confidence: Of the intervals, 0 to 1.

    Raises:
        ValueError: There are fewer than two patients, or leaving one out leaves one class.
    """
    members = np.unique(patients, return_inverse=True)[1]
    count = int(members.max()) + 1 if len(members) else 0
    _check(count)
    arms, readers, cases = ratings.shape
    flat = ratings.reshape(arms * readers, cases)
    kept = [members != unit for unit in range(count)]
    if any(not truth[rows].any() or truth[rows].all() for rows in kept):
        raise ValueError("expected two patients or more of each class, found fewer")
    left_out = np.asarray([[roc_auc(truth[rows], one[rows]) for one in flat] for rows in kept])
    theta = np.asarray([roc_auc(truth, one) for one in flat]).reshape(arms, readers)
    return _compared(theta, left_out, confidence, bounded=True)


def _check(patients: int) -> None:
    if patients < 2:
        raise ValueError(f"expected two patients or more, found {patients}")


def _compared(theta: FloatArray, left_out: FloatArray, confidence: float, *, bounded: bool) -> ArmComparison:
    """The comparison from the readers' metrics [2, readers] and those without each patient [patients, 2 x readers]."""
    readers, units = theta.shape[1], len(left_out)
    shifted = left_out - left_out.mean(axis=0)
    covariance = (units - 1) / units * shifted.T @ shifted
    blocks = covariance.reshape(2, readers, 2, readers)
    arms = [_arm(theta[arm], blocks[arm, :, arm, :], units, confidence, bounded=bounded) for arm in (0, 1)]
    difference = _difference(theta, blocks, units, confidence, bounded=bounded)
    return ArmComparison(arms[0], arms[1], difference, readers, units)


def _arm(
    theta: FloatArray, covariance: FloatArray, units: int, confidence: float, *, bounded: bool
) -> Estimate:
    """The mean of one arm; Hillis, Obuchowski and Berbaum 2011, for one treatment."""
    readers, value = len(theta), float(theta.mean())
    if readers == 1:
        ends, method = _normal(value, float(covariance[0, 0]), confidence), ONE_READER
    else:
        shared = readers * max(_off_diagonal(covariance), 0.0)
        own = float(theta.var(ddof=1))
        ends, method = _student(value, own, shared, readers, 1.0, confidence), RANDOM_READERS
    if not bounded:
        return Estimate(value, *(ends or (value, value)), method)
    if ends is None:
        return Estimate(value, *clopper_pearson(value * units, units, confidence), NO_VARIANCE)
    return Estimate(value, max(0.0, ends[0]), min(1.0, ends[1]), method)


def _difference(
    theta: FloatArray, blocks: FloatArray, units: int, confidence: float, *, bounded: bool
) -> Estimate:
    readers = theta.shape[1]
    value = float(theta[1].mean() - theta[0].mean())
    if readers == 1:
        variance = float(blocks[0, 0, 0, 0] + blocks[1, 0, 1, 0] - 2.0 * blocks[0, 0, 1, 0])
        ends, method = _normal(value, variance, confidence), ONE_READER
    else:
        within = 0.5 * (_off_diagonal(blocks[0, :, 0, :]) + _off_diagonal(blocks[1, :, 1, :]))
        between = _off_diagonal(blocks[0, :, 1, :])
        # Of two arms the interaction is half of the variance of the readers' differences.
        own = 0.5 * float((theta[1] - theta[0]).var(ddof=1))
        shared = readers * max(within - between, 0.0)
        ends, method = _student(value, own, shared, readers, 2.0, confidence), RANDOM_READERS
    if not bounded:
        return Estimate(value, *(ends or (value, value)), method)
    if ends is None:
        # Nothing differs, so nothing can be estimated: as many patients could still hide a share of differing readings.
        most = clopper_pearson(0.0, units, confidence)[1]
        return Estimate(value, max(-1.0, value - most), min(1.0, value + most), NO_VARIANCE)
    return Estimate(value, max(-1.0, ends[0]), min(1.0, ends[1]), method)


def _student(
    value: float, own: float, shared: float, readers: int, arms: float, confidence: float
) -> tuple[float, float] | None:
    """Interval from the mean square of readers and what cases share; None where both are nought."""
    whole = own + shared
    if whole < _NEGLIGIBLE:
        return None
    # Without variance between readers only the cases vary: the limit of many degrees of freedom.
    freedom = math.inf if own < _NEGLIGIBLE else (whole / own) ** 2 * (readers - 1)
    quantile = 0.5 + confidence / 2.0
    step = float(ndtri(quantile)) if math.isinf(freedom) else float(stdtrit(freedom, quantile))
    half = step * math.sqrt(arms * whole / readers)
    return value - half, value + half


def _normal(value: float, variance: float, confidence: float) -> tuple[float, float] | None:
    if variance < _NEGLIGIBLE:
        return None
    half = float(ndtri(0.5 + confidence / 2.0)) * math.sqrt(variance)
    return value - half, value + half


def _off_diagonal(matrix: FloatArray) -> float:
    """Mean of the covariances of different readers."""
    readers = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (readers * (readers - 1)))
