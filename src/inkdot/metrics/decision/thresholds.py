"""The operating point: chosen once on validation data, then locked with the model."""

import math

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray


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
