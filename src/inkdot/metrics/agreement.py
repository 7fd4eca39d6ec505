"""Agreement of readers beyond chance, each metric with its interval.

Cohen (1960, Educ. Psychol. Meas. 20:37) for two readers, Fleiss (1971, Psychol. Bull. 76:378) for several.
Regions of one slide resemble each other, so slides are what the bootstrap draws.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import FloatArray
from inkdot.metrics.intervals.confidence_intervals import Estimate, clopper_pearson, patient_bootstrap

IntArray = npt.NDArray[np.int64]

OVER_SLIDES = "bootstrap over slides"
OVER_REGIONS = "bootstrap over regions (too few slides)"
PERFECT = "Clopper-Pearson on the observed agreement"
TOO_FEW = "too few regions for an interval"

_FEWEST_UNITS = 3


def observed_agreement(counts: IntArray, weights: FloatArray | None = None) -> float:
    """Mean share of pairs of readers who give a region the same label, 0 to 1; NaN where no region has two readers.

    Args:
        counts: How many readers gave region i the label k, shape [regions, labels].
        weights: Weight of each region, shape [regions]; 1 where not given.
    """
    counts, weight = _read_twice(counts, weights)
    readers = counts.sum(axis=1)
    if not weight.sum():
        return math.nan
    pairs = (counts * (counts - 1)).sum(axis=1) / (readers * (readers - 1))
    return float(np.average(pairs, weights=weight))


def fleiss_kappa(counts: IntArray, weights: FloatArray | None = None) -> float:
    """Fleiss' kappa: 1 for full agreement, 0 for what chance gives, below 0 for less.

    Regions with fewer than two readers are left out. Readers per region may differ; chance is
    the pooled share of each label, which is Fleiss' own where they do not.

    Args:
        counts: How many readers gave region i the label k, shape [regions, labels].
        weights: Weight of each region, shape [regions]; 1 where not given.

    Returns:
        NaN where it is undefined: no region with two readers, or a single label throughout.
    """
    counts, weight = _read_twice(counts, weights)
    total = (counts * weight[:, None]).sum()
    if not total:
        return math.nan
    chance = float((((counts * weight[:, None]).sum(axis=0) / total) ** 2).sum())
    if chance >= 1.0:
        return math.nan
    return (observed_agreement(counts, weight) - chance) / (1.0 - chance)


def cohen_kappa(first: IntArray, second: IntArray, labels: int, weights: FloatArray | None = None) -> float:
    """Cohen's kappa of two readers: 1 for full agreement, 0 for what chance gives, below 0 for less.

    Args:
        first: The first reader's label of each region as an index below ``labels``, shape [regions].
        second: The second reader's, shape [regions].
        labels: How many labels there are.
        weights: Weight of each region, shape [regions]; 1 where not given.

    Returns:
        NaN where it is undefined: no regions, or both readers give a single label throughout.
    """
    weight = np.ones(len(first), dtype=np.float64) if weights is None else weights
    table = np.zeros((labels, labels), dtype=np.float64)
    np.add.at(table, (first, second), weight)
    total = table.sum()
    if not total:
        return math.nan
    table /= total
    chance = float(table.sum(axis=1) @ table.sum(axis=0))
    if chance >= 1.0:
        return math.nan
    return float((np.trace(table) - chance) / (1.0 - chance))


def cohen_estimate(
    first: IntArray,
    second: IntArray,
    labels: int,
    slides: npt.NDArray[np.str_],
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Estimate | None:
    """Cohen's kappa with a 95 % interval, or None where it is undefined.

    Args:
        first: See :func:`cohen_kappa`.
        second: See :func:`cohen_kappa`.
        labels: See :func:`cohen_kappa`.
        slides: Slide of each region, shape [regions].
        replicates: Draws of the bootstrap.
        seed: Same seed, same interval.
    """

    def kappa(weights: FloatArray) -> float:
        return cohen_kappa(first, second, labels, weights)

    return _estimate(kappa, _share_equal(first, second), slides, replicates, seed)


def _share_equal(first: IntArray, second: IntArray) -> float:
    return float(np.count_nonzero(np.equal(first, second))) / len(first) if len(first) else math.nan


def fleiss_estimate(
    counts: IntArray, slides: npt.NDArray[np.str_], *, replicates: int = 1000, seed: int = 0
) -> Estimate | None:
    """Fleiss' kappa with a 95 % interval, or None where it is undefined.

    Args:
        counts: See :func:`fleiss_kappa`.
        slides: Slide of each region, shape [regions].
        replicates: Draws of the bootstrap.
        seed: Same seed, same interval.
    """
    twice = counts.sum(axis=1) >= 2
    counts, slides = counts[twice], slides[twice]

    def kappa(weights: FloatArray) -> float:
        return fleiss_kappa(counts, weights)

    return _estimate(kappa, observed_agreement(counts), slides, replicates, seed)


def _estimate(
    kappa: Callable[[FloatArray], float],
    agreement: float,
    slides: npt.NDArray[np.str_],
    replicates: int,
    seed: int,
) -> Estimate | None:
    value = kappa(np.ones(len(slides), dtype=np.float64))
    if math.isnan(value):
        return None
    units, method = slides, OVER_SLIDES
    if len(np.unique(units)) < _FEWEST_UNITS:
        units, method = np.asarray([str(index) for index in range(len(slides))]), OVER_REGIONS
    count = len(np.unique(units))
    if count < _FEWEST_UNITS:
        return Estimate(value, -1.0, 1.0, TOO_FEW)
    if agreement == 1.0:
        # Every draw agrees fully too. How often readers might still differ follows from the number of units; as
        # kappa, for two labels of equal share.
        return Estimate(value, clopper_pearson(count, count)[0] * 2 - 1, 1.0, PERFECT)
    interval = patient_bootstrap(kappa, units, replicates=replicates, seed=seed)
    return Estimate(value, -1.0, 1.0, TOO_FEW) if interval is None else Estimate(value, *interval, method)


def _read_twice(counts: IntArray, weights: FloatArray | None) -> tuple[IntArray, FloatArray]:
    weight = np.ones(len(counts), dtype=np.float64) if weights is None else weights
    twice = counts.sum(axis=1) >= 2
    return counts[twice], weight[twice]
