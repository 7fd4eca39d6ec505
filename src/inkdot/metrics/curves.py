"""Curves of scores against truth, as points for plots and for programs."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.confidence_intervals import Estimate, share_estimate

_REPLICATES: Final = 400


class ReliabilityRow(NamedTuple):
    """Rows of like scores.

    Attributes:
        score: Their mean score.
        share: The share of them that is truly positive, with its interval over patients.
        rows: How many they are.
    """

    score: float
    share: Estimate
    rows: int


def roc_points(truth: BoolArray, scores: FloatArray) -> list[tuple[float, float]]:
    """(1 − specificity, sensitivity) at every distinct score, from the highest down; none where a class is missing."""
    if not truth.any() or truth.all():
        return []
    thresholds = np.unique(scores)[::-1]
    points = [(float((scores[~truth] >= t).mean()), float((scores[truth] >= t).mean())) for t in thresholds]
    return [(0.0, 0.0), *points]


def reliability_rows(
    truth: BoolArray, scores: FloatArray, patients: npt.NDArray[np.str_], bins: int = 10
) -> list[ReliabilityRow]:
    """What scores were worth, in bins of equal width that hold something.

    Args:
        truth: Whether each row is positive, shape [n].
        scores: 0 to 1, shape [n].
        patients: Patient of each row, shape [n].
        bins: Number of bins between 0 and 1.
    """
    of_row = np.minimum((scores * bins).astype(np.int64), bins - 1)
    found: list[ReliabilityRow] = []
    for own in (of_row == index for index in range(bins)):
        share = share_estimate(truth[own], patients[own], replicates=_REPLICATES)
        if share is not None:
            found.append(ReliabilityRow(float(scores[own].mean()), share, int(own.sum())))
    return found
