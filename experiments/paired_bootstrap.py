"""Mean of a metric over several runs, and differences between runs, on the same test patients."""
# pyright: basic

from collections.abc import Sequence

import numpy as np

from inkdot.metrics.intervals.paired_bootstrap import Statistic, paired_difference


def mean_of(statistics: Sequence[Statistic]) -> Statistic:
    return lambda weights: float(np.mean([statistic(weights) for statistic in statistics]))


def difference(one: Statistic, other: Statistic, patients: np.ndarray) -> str:
    """`one - other` with its 95 % interval, as text."""
    return str(paired_difference(one, other, patients, replicates=1000))
