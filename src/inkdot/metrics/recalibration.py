"""Logistic recalibration: slope and intercept that map the logits of a model to those of observed outcomes.

As a metric (Cox 1958, Biometrika 45:562): slope 1 and intercept 0 are ideal, a slope below 1 means scores that are too extreme.
As a correction on held-out scores (Platt 1999) the targets are shrunk: it stays finite where scores separate the classes.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from inkdot.metrics.classification import BoolArray, FloatArray

_STEPS, _CONVERGED, _STEEPEST, _FLAT = 60, 1e-8, 50.0, 1e-12


@dataclass(frozen=True, slots=True)
class Recalibration:
    """``logit of the outcome = intercept + slope · logit of the model``; NaN where no finite pair fits best.

    Attributes:
        slope: 1 where the logits are calibrated.
        intercept: 0 where they are, given the slope.
    """

    slope: float
    intercept: float

    def logits(self, logits: npt.ArrayLike) -> FloatArray:
        """Recalibrated logits, same shape."""
        return np.asarray(self.intercept + self.slope * np.asarray(logits, np.float64), np.float64)


def fit_recalibration(
    logits: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Recalibration:
    """The pair of lowest weighted log loss, by Newton's method with halved steps.

    Args:
        logits: Shape [n].
        targets: 0 to 1, shape [n].
        weights: Of each row, at least 0, shape [n]; 1 where None.

    Returns:
        NaN in both where a class has no weight, all logits are the same, or the classes are separated.
    """
    x, y = np.asarray(logits, np.float64), np.asarray(targets, np.float64)
    weight = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    nothing = Recalibration(math.nan, math.nan)
    total = float(weight.sum())
    if total <= 0 or not 0.0 < float(weight @ y) < total:
        return nothing
    mean = float(weight @ x) / total
    spread = math.sqrt(float(weight @ (x - mean) ** 2) / total)
    if not spread > 1e-12:
        return nothing
    z = (x - mean) / spread

    def loss(bias: float, slope: float) -> float:
        margin = bias + slope * z
        return float(weight @ (np.logaddexp(0.0, margin) - y * margin))

    share = float(weight @ y) / total
    bias, slope = math.log(share / (1.0 - share)), 0.0
    lowest = loss(bias, slope)
    for _ in range(_STEPS):
        chance: FloatArray = np.asarray(expit(bias + slope * z), np.float64)
        residual, curvature = weight * (chance - y), weight * chance * (1.0 - chance)
        first, second = float(residual.sum()), float(residual @ z)
        a, b, c = float(curvature.sum()), float(curvature @ z), float(curvature @ z**2)
        determinant = a * c - b * b
        if abs(slope) > _STEEPEST or determinant <= _FLAT * a * c:
            return nothing
        steps = (c * first - b * second) / determinant, (a * second - b * first) / determinant
        size = 1.0
        while (own := loss(bias - size * steps[0], slope - size * steps[1])) > lowest and size > 1e-6:
            size /= 2.0
        bias, slope, lowest = bias - size * steps[0], slope - size * steps[1], own
        if size * max(abs(steps[0]), abs(steps[1])) < _CONVERGED:
            return Recalibration(slope / spread, bias - slope / spread * mean)
    return nothing


def platt_targets(truth: BoolArray) -> FloatArray:
    """Targets between 0 and 1 by the rule of succession (Platt 1999): finite slopes even where scores separate the classes."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    return np.where(truth, (positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0))
