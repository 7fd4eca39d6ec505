"""Curves of scores against truth, as points for plots and for programs."""

import numpy as np

from inkdot.evaluation.metrics import BoolArray, FloatArray


def roc_points(truth: BoolArray, scores: FloatArray) -> list[tuple[float, float]]:
    """(1 − specificity, sensitivity) at every distinct score, from the highest down; none where a class is missing."""
    if not truth.any() or truth.all():
        return []
    thresholds = np.unique(scores)[::-1]
    points = [(float((scores[~truth] >= t).mean()), float((scores[truth] >= t).mean())) for t in thresholds]
    return [(0.0, 0.0), *points]


def reliability_rows(truth: BoolArray, scores: FloatArray, bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean score, share truly positive, count) of each bin of equal width that holds something."""
    of_row = np.minimum((scores * bins).astype(np.int64), bins - 1)
    return [
        (float(scores[own].mean()), float(truth[own].mean()), int(own.sum()))
        for own in (of_row == index for index in range(bins))
        if own.any()
    ]
