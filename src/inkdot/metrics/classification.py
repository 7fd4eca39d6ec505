"""Metrics of scores against truth, every one with optional row weights.

Row weights have two uses: a bootstrap over patients is a vector of multiplicities, and classes can be given equal shares
whatever their counts. An undefined metric (a class is missing) is NaN.
tests/metrics/test_against_scikit_learn.py compares them with scikit-learn, which is too slow for a bootstrap.
"""

import math

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

_TINY = 1e-12
"""Probabilities are kept this far from 0 in logarithms, so that one confident error costs 27.6, not infinity."""


def roc_auc(truth: BoolArray, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Area under the ROC curve: the chance that a positive row outscores a negative one, ties counted half.

    Args:
        truth: Whether each row is positive, shape [n].
        scores: Higher means more positive, shape [n].
        weights: Weight of each row, at least 0, shape [n]; 1 where None.

    Returns:
        0 to 1, or NaN where either class has no weight.
    """
    positive, negative, _ = _mass_per_score(truth, scores, weights)
    total = positive.sum() * negative.sum()
    if total <= 0:
        return math.nan
    below = np.cumsum(negative) - negative
    return float(np.sum(positive * (below + 0.5 * negative)) / total)


def average_precision(truth: BoolArray, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Mean precision over the recall gained at each distinct score, without interpolation.

    Args:
        truth: Whether each row is positive, shape [n].
        scores: Higher means more positive, shape [n].
        weights: Weight of each row, at least 0, shape [n]; 1 where None.

    Returns:
        0 to 1, or NaN where no positive row has weight.
    """
    positive, negative, _ = _mass_per_score(truth, scores, weights)
    positive, negative = positive[::-1], negative[::-1]
    total = positive.sum()
    if total <= 0:
        return math.nan
    called = np.cumsum(positive + negative)
    precision = np.divide(np.cumsum(positive), called, out=np.zeros_like(called), where=called > 0)
    return float(np.sum(positive * precision) / total)


def log_loss(
    targets: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float:
    """Mean cross-entropy (nats) of soft targets.

    Args:
        targets: Weight per class, rows sum to 1, shape [n, classes].
        probabilities: Shape [n, classes].
        weights: Weight of each row, at least 0, shape [n]; 1 where None.

    Returns:
        At least 0, or NaN where no row has weight.
    """
    target, probability = np.asarray(targets, np.float64), np.asarray(probabilities, np.float64)
    weight = _weights(weights, len(target))
    if weight.sum() <= 0:
        return math.nan
    losses = -np.sum(target * np.log(np.maximum(probability, _TINY)), axis=1)
    return float(np.average(losses, weights=weight))


def balanced_accuracy(
    truth: npt.ArrayLike, called: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float:
    """Balanced accuracy: the mean recall of the classes.

    Args:
        truth: Class of each row, shape [n].
        called: Class each row is called, shape [n].
        weights: Weight of each row, at least 0, shape [n]; 1 where None.

    Returns:
        0 to 1, or NaN where a class that occurs in ``truth`` has no weight.
    """
    classes, of_row = np.unique(np.asarray(truth), return_inverse=True)
    weight = _weights(weights, len(of_row))
    right = (np.asarray(truth) == np.asarray(called)).astype(np.float64)
    totals = np.bincount(of_row, weights=weight, minlength=len(classes))
    hits = np.bincount(of_row, weights=weight * right, minlength=len(classes))
    if not len(classes) or (totals <= 0).any():
        return math.nan
    return float(np.mean(hits / totals))


def expected_calibration_error(
    targets: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None, bins: int = 15
) -> float:
    """Expected calibration error (ECE) of the likeliest class (Naeini et al. 2015, AAAI).

    Rows are binned by the probability of their likeliest class, in bins of equal width; the gaps between mean
    probability and mean truth are averaged by the weight of the bins.

    Args:
        targets: Weight per class, rows sum to 1, shape [n, classes].
        probabilities: Shape [n, classes].
        weights: Weight of each row, at least 0, shape [n]; 1 where None.
        bins: Number of bins between 0 and 1.

    Returns:
        0 to 1, or NaN where no row has weight.
    """
    target, probability = np.asarray(targets, np.float64), np.asarray(probabilities, np.float64)
    weight = _weights(weights, len(target))
    if weight.sum() <= 0:
        return math.nan
    winner = np.argmax(probability, axis=1)
    rows = np.arange(len(target))
    confidence, right = probability[rows, winner], target[rows, winner]
    # Bin k holds (k/bins, (k+1)/bins]: a probability of 1 belongs to the last.
    of_bin = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(of_bin, weights=weight * (confidence - right), minlength=bins)
    return float(np.abs(gaps).sum() / weight.sum())


def _weights(weights: npt.ArrayLike | None, rows: int) -> FloatArray:
    return np.ones(rows) if weights is None else np.asarray(weights, np.float64)


def _mass_per_score(
    truth: BoolArray, scores: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weight of positive and of negative rows at each distinct score, scores ascending."""
    score = np.asarray(scores, np.float64)
    if np.isnan(score).any():
        raise ValueError("expected scores without NaN")
    weight = _weights(weights, len(score))
    # Stable sorting is linear on sorted scores, and the bootstrap passes sorted ones.
    order = np.argsort(score, kind="stable")
    score, weight, positive = score[order], weight[order], truth[order]
    if not len(score):
        return np.zeros(0), np.zeros(0), score
    starts = np.flatnonzero(np.concatenate(([True], score[1:] != score[:-1])))
    return (
        np.add.reduceat(weight * positive, starts),
        np.add.reduceat(weight * ~positive, starts),
        score[starts],
    )
