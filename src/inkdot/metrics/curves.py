"""Curves of scores against truth, as points for plots and for programs."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.intervals.confidence_intervals import Estimate, share_estimate

_REPLICATES: Final = 400


class ReliabilityBin(NamedTuple):
    """Rows with scores in one bin of a reliability diagram.

    Attributes:
        mean_score: Their mean score.
        fraction_positive: Share of them that is truly positive, with its interval over patients.
        rows: Number of rows.
    """

    mean_score: float
    fraction_positive: Estimate
    rows: int


def roc_points(truth: BoolArray, scores: FloatArray) -> list[tuple[float, float]]:
    """ROC curve: (1 − specificity, sensitivity) at every distinct score, from the highest down.

    Empty where a class is missing.
    """
    if not truth.any() or truth.all():
        return []
    thresholds = np.unique(scores)[::-1]
    points = [(float((scores[~truth] >= t).mean()), float((scores[truth] >= t).mean())) for t in thresholds]
    return [(0.0, 0.0), *points]


def precision_recall_points(truth: BoolArray, scores: FloatArray) -> list[tuple[float, float]]:
    """Precision-recall curve: (sensitivity, positive predictive value) at every distinct score, from the highest down.

    Empty where a class is missing.
    """
    if not truth.any() or truth.all():
        return []
    thresholds = np.unique(scores)[::-1]
    return [(float((scores[truth] >= t).mean()), float(truth[scores >= t].mean())) for t in thresholds]


def reliability_bins(
    truth: BoolArray, scores: FloatArray, patients: npt.NDArray[np.str_], bins: int = 10
) -> list[ReliabilityBin]:
    """The points of a reliability diagram: bins of equal width that hold a score.

    Args:
        truth: Whether each row is positive, shape [n].
        scores: 0 to 1, shape [n].
        patients: Patient of each row, shape [n].
        bins: Number of bins between 0 and 1.
    """
    bin_of = np.minimum((scores * bins).astype(np.int64), bins - 1)
    filled: list[ReliabilityBin] = []
    for own in (bin_of == index for index in range(bins)):
        fraction = share_estimate(truth[own], patients[own], replicates=_REPLICATES)
        if fraction is not None:
            filled.append(ReliabilityBin(float(scores[own].mean()), fraction, int(own.sum())))
    return filled
