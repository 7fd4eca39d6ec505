"""Metrics of several runs on the same test patients: their mean, and differences under the same bootstrap draws."""
# pyright: basic

from collections.abc import Callable, Sequence

import numpy as np

from inkdot.metrics.confidence_intervals import patient_bootstrap

Statistic = Callable[[np.ndarray], float]
"""A metric as a function of the weight of each row."""


def mean_of(statistics: Sequence[Statistic]) -> Statistic:
    return lambda weights: float(np.mean([statistic(weights) for statistic in statistics]))


def difference(one: Statistic, other: Statistic, patients: np.ndarray) -> str:
    """`one - other` with its 95 % interval, as text."""

    def statistic(weights: np.ndarray) -> float:
        return one(weights) - other(weights)

    interval = patient_bootstrap(statistic, patients)
    value = f"{statistic(np.ones(len(patients))):+.3f}"
    return f"{value} ({interval[0]:+.3f} to {interval[1]:+.3f})" if interval else f"{value} (no interval)"
