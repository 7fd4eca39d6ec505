"""Calibration of scores by one temperature per head (Guo et al. 2017, ICML, arXiv:1706.04599)."""

import math

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import FloatArray, log_loss

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.25, 16.0
"""Limits of the temperature; a best one below the lower limit counts as that of separable rows, which is 0."""

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def softmax(logits: npt.ArrayLike) -> FloatArray:
    """Probabilities of the last axis, computed in double precision."""
    values = np.asarray(logits, np.float64)
    exponents = np.exp(values - values.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def fit_temperature(
    logits: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float:
    """The divisor of the logits that gives the lowest log loss, by golden-section search.

    The loss is convex in the inverse temperature, hence has one minimum. On separable rows it falls towards temperature 0,
    where every score is 0 or 1. So few rows do not justify that, and they teach nothing on the scale of the logits, since no
    scale gets them wrong: the temperature is then 1.

    Args:
        logits: Shape [n, classes].
        targets: Weight per class, rows sum to 1, shape [n, classes].
        weights: Weight of each row, shape [n]; 1 where None.

    Returns:
        Between ``MIN_TEMPERATURE`` and ``MAX_TEMPERATURE``; 1 where there are no rows, and where the best is below that range.
    """
    values = np.asarray(logits, np.float64)
    if not len(values):
        return 1.0

    def loss(log_temperature: float) -> float:
        return log_loss(targets, softmax(values / math.exp(log_temperature)), weights)

    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    while high - low > 1e-4:
        if loss_left <= loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - _GOLDEN * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + _GOLDEN * (high - low)
            loss_right = loss(right)
    if low <= math.log(MIN_TEMPERATURE) + 1e-9:
        return 1.0
    # Four digits are more precise than any validation set, and readable in model.json.
    return round(math.exp(0.5 * (low + high)), 4)
