"""Differences of a metric between models on the same patients: both are computed on the same draws of patients."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.intervals.confidence_intervals import (
    BOOTSTRAP,
    TOO_FEW,
    patient_bootstrap,
    too_few_patients,
)

Statistic = Callable[[FloatArray], float]
"""A metric of one model as a function of the weight of each row, shape [n]; NaN where it is undefined."""

SAME_EVERYWHERE: Final = "no interval: every draw of patients gives the same difference"
UNDEFINED: Final = "no interval: undefined on most draws of patients"

REPLICATES: Final = 2000


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of one model less that of another.

    Attributes:
        value: The difference on all rows.
        low: Lower end of its interval; None where it has none.
        high: Upper end of its interval; None where it has none.
        method: How the interval was made, or why there is none.
    """

    value: float
    low: float | None
    high: float | None
    method: str

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:+.3f} ({self.method})"
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def paired_difference(
    one: Statistic,
    other: Statistic,
    patients: npt.NDArray[np.str_],
    *,
    sides: Sequence[BoolArray] = (),
    replicates: int = REPLICATES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Difference | None:
    """``one`` less ``other``, with its percentile interval over draws of whole patients.

    Where two models err on the same patients, their difference varies less than either of them: that is why separate intervals
    that overlap do not show that the models are alike.

    Args:
        one: The metric of one model.
        other: The same metric of the other, on the same rows.
        patients: Patient of each row, shape [n].
        sides: Rows, each of shape [n], that must come from at least three patients each, such as the positive ones and the
            negative ones; without any, all rows together.
        replicates: Number of draws.
        seed: Same seed, same interval.
        confidence: Coverage of the interval, 0 to 1.

    Returns:
        None where the metric is undefined on all rows.
    """

    def difference(weights: FloatArray) -> float:
        return one(weights) - other(weights)

    value = difference(np.ones(len(patients)))
    if math.isnan(value):
        return None
    if any(too_few_patients(patients[side]) for side in sides) or too_few_patients(patients):
        return Difference(value, None, None, TOO_FEW)
    interval = patient_bootstrap(
        difference, patients, replicates=replicates, seed=seed, confidence=confidence
    )
    if interval is None:
        return Difference(value, None, None, UNDEFINED)
    low, high = interval
    if high <= low:
        return Difference(value, None, None, SAME_EVERYWHERE)
    return Difference(value, low, high, BOOTSTRAP)
