"""Share of truly positive regions among the validation regions with a score in the same range."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray
from inkdot.metrics.intervals.confidence_intervals import Estimate, share_estimate

STEPS: Final = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
"""Edges of the ranges of scores; finer at the ends, where most scores lie."""


@dataclass(frozen=True, slots=True)
class Step:
    """One range of scores.

    Attributes:
        low: Its lower edge, which belongs to it.
        high: Its upper edge, which belongs to the next one; 1 belongs to the last.
        regions: Number of validation regions with such a score.
        positive: Share (0 to 1) of them that were truly positive, with its interval over patients.
    """

    low: float
    high: float
    regions: int
    positive: Estimate


def reliability_steps(
    truth: BoolArray, scores: npt.ArrayLike, patients: npt.NDArray[np.str_], *, seed: int = 0
) -> list[Step]:
    """The ranges of scores that occur, ascending.

    Args:
        truth: Whether each region is positive, shape [n].
        scores: 0 to 1, shape [n].
        patients: Patient of each, shape [n].
        seed: Of the bootstrap.
    """
    step_of = np.searchsorted(STEPS[1:-1], np.asarray(scores, np.float64), side="right")
    steps: list[Step] = []
    for index, (low, high) in enumerate(pairwise(STEPS)):
        own = step_of == index
        estimate = share_estimate(truth[own], patients[own], seed=seed)
        if estimate is not None:
            steps.append(Step(low, high, int(own.sum()), estimate))
    return steps
