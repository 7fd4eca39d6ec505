"""The operating point: chosen once on validation data, then locked with the model."""

import math

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray, FloatArray

_SATURATED = 2.0**-25
"""Half the distance from 1 to the float32 below: scores closer to 0 or 1 count as so close."""


def threshold_for_sensitivity(truth: BoolArray, scores: npt.ArrayLike, sensitivity: float) -> float:
    """The highest threshold at or above which at least a share ``sensitivity`` of the positive rows lie.

    It is always the score of a positive row, so it is exact in the precision in which scores are stored.

    Args:
        truth: Whether each row is positive, shape [n].
        scores: Shape [n].
        sensitivity: Target, more than 0 and at most 1.

    Raises:
        ValueError: No row is positive, or ``sensitivity`` is out of range.
    """
    if not 0.0 < sensitivity <= 1.0:
        raise ValueError(f"expected a sensitivity in (0, 1], found {sensitivity}")
    positives = np.sort(np.asarray(scores)[truth])[::-1]
    if not len(positives):
        raise ValueError("expected at least one positive row to choose a threshold on, found none")
    # 0.95 * 20 is 19.000000000000004 in binary: without the tolerance one row too many would be needed.
    needed = max(1, math.ceil(sensitivity * len(positives) - 1e-9))
    return float(positives[needed - 1])


def logit(probability: npt.ArrayLike) -> FloatArray:
    """log(p / (1 − p)), of 0 and 1 as of the closest float32."""
    own = np.clip(np.asarray(probability, np.float64), _SATURATED, 1.0 - _SATURATED)
    return np.log(own) - np.log1p(-own)


def midpoint(low: float, high: float) -> float:
    """The score halfway between two scores, in logits: between 0.99 and 0.9999 it is 0.999, not 0.995."""
    middle = 0.5 * (float(logit(low)) + float(logit(high)))
    return 1.0 / (1.0 + math.exp(-middle))


def rounded_down(score: float) -> float:
    """At most the score, to four digits of its distance from the closer end: 0.12345 is 0.1234, 0.999912345 is 0.99991234."""
    distance = min(score, 1.0 - score)
    if distance <= _SATURATED:
        return score
    steps = 10.0 ** min(8, 3 - math.floor(math.log10(distance)))
    return math.floor(score * steps + 1e-9) / steps


def threshold_in_gap(truth: BoolArray, scores: npt.ArrayLike, at_most: float) -> float:
    """The highest threshold at most as high as a given score that lies in the middle of a gap between the classes.

    The gap is the one between the highest negative score below ``at_most`` and the lowest positive score above that one. Such a
    threshold flags no further negative row; on classes that do not overlap it separates them by the widest margin.

    Args:
        truth: Whether each row is positive, shape [n].
        scores: 0 to 1, shape [n].
        at_most: A score of a positive row.

    Returns:
        The lowest positive score where no negative one lies below ``at_most``.
    """
    score = np.asarray(scores, np.float64)
    below = score[~truth & (score < at_most)]
    if not len(below):
        return float(score[truth].min())
    floor = float(below.max())
    return midpoint(floor, float(score[truth & (score > floor)].min()))
