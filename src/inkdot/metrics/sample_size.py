"""How many patients a study needs: intervals of a proportion, a locked threshold, and two models on the same patients.

All numbers are exact binomial, no normal approximation is used. Reader studies are in :mod:`inkdot.metrics.reader_study`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betaincinv
from scipy.stats import binom, nbinom

MOST = 1_000_000
"""Larger studies are not planned here: the number would be of no use."""

Width = Literal["expected", "assured", "any"]
"""What must be as narrow as asked: the mean half-width of the intervals to expect, that of nine in ten, or that of any result."""

ASSURANCE = 0.9
"""Chance that "assured" numbers suffice."""

_TEETH = 40
"""Power and coverage rise in teeth: a number counts only where so many after it suffice too."""

_Floats = npt.NDArray[np.float64]


def interval_ends(patients: int, confidence: float = 0.95) -> tuple[_Floats, _Floats]:
    """Lower and upper end of the Clopper-Pearson interval for every number of hits, 0 to ``patients``, shape [patients + 1].

    All at once: :func:`inkdot.metrics.intervals.confidence_intervals.clopper_pearson` takes one number of hits.
    """
    hits = np.arange(patients + 1, dtype=np.float64)
    tail = (1.0 - confidence) / 2.0
    low, high = np.zeros(patients + 1), np.ones(patients + 1)
    low[1:] = betaincinv(hits[1:], patients - hits[1:] + 1.0, tail)
    high[:-1] = betaincinv(hits[:-1] + 1.0, patients - hits[:-1], 1.0 - tail)
    return low, high


def half_widths(patients: int, confidence: float = 0.95) -> _Floats:
    """Half-width of each of :func:`interval_ends`, shape [patients + 1]."""
    low, high = interval_ends(patients, confidence)
    return (high - low) / 2.0


def expected_interval(proportion: float, patients: int, confidence: float = 0.95) -> tuple[float, float]:
    """Mean lower and upper end of the Clopper-Pearson interval when the true proportion is ``proportion``."""
    low, high = interval_ends(patients, confidence)
    weights = binom.pmf(np.arange(patients + 1), patients, proportion)
    return float(weights @ low), float(weights @ high)


def patients_for_interval(
    proportion: float, half_width: float, confidence: float = 0.95, width: Width = "expected"
) -> int:
    """Smallest number of patients whose Clopper-Pearson interval (Biometrika 1934, 26:404) is as narrow as asked.

    Args:
        proportion: True sensitivity (or specificity) that is expected, above 0, at most 1.
        half_width: Half of the interval's width, 0.005 to 0.5.
        confidence: Coverage of the interval, 0 to 1.
        width: Which interval must be so narrow.

    Raises:
        ValueError: An argument is outside of its range.
    """
    _check("proportion", proportion, 0.0, 1.0)
    _check("half_width", half_width, 0.005, 0.5)
    _check_open("confidence", confidence)

    def suffices(patients: int) -> bool:
        widths = half_widths(patients, confidence)
        if width == "any":
            return float(widths.max()) <= half_width
        weights = binom.pmf(np.arange(patients + 1), patients, proportion)
        if width == "expected":
            return float(weights @ widths) <= half_width
        return float(weights[widths <= half_width].sum()) >= ASSURANCE

    return _smallest(suffices)


def positives_for_lock(sensitivity: float, confidence: float, misses: int = 0) -> int:
    """Smallest number of positive patients whose scores can lock a threshold of a stated sensitivity with a stated confidence.

    The threshold is the positive score that ``misses`` others are below. Its sensitivity on further patients is at least
    ``sensitivity`` with probability P(Bin(n, 1 − sensitivity) > misses), whatever the distribution of the scores: a one-sided
    tolerance limit (Wilks 1941, Ann. Math. Stat. 12:91). With no miss this is 1 − sensitivityⁿ.

    Args:
        sensitivity: To be guaranteed, between 0 and 1.
        confidence: Of the guarantee, between 0 and 1.
        misses: Positive patients below the threshold, 0 or more.

    Raises:
        ValueError: An argument is outside of its range.
    """
    _check_open("sensitivity", sensitivity)
    _check_open("confidence", confidence)
    if misses < 0:
        raise ValueError(f"expected misses of 0 or more, found {misses}")
    return _smallest(
        lambda patients: (
            patients > misses and bdtr(misses, patients, 1.0 - sensitivity) <= 1.0 - confidence + 1e-12
        ),
        teeth=1,
    )


def patients_for_positives(positives: int, prevalence: float, assurance: float = ASSURANCE) -> int:
    """Smallest number of patients of whom at least ``positives`` are positive with probability ``assurance``.

    Negative binomial: the number of negative patients before the last positive one.

    Args:
        positives: Positive patients that are needed, 1 or more.
        prevalence: Share of positive patients, above 0, at most 1.
        assurance: Between 0 and 1.

    Raises:
        ValueError: An argument is outside of its range.
    """
    _check("prevalence", prevalence, 0.0, 1.0)
    _check_open("assurance", assurance)
    if positives < 1:
        raise ValueError(f"expected positives of 1 or more, found {positives}")
    return positives if prevalence == 1.0 else positives + int(nbinom.ppf(assurance, positives, prevalence))


def mcnemar_power(only_a: float, only_b: float, patients: int, alpha: float = 0.05) -> float:
    """Unconditional power of the exact two-sided McNemar test.

    The test is binomial on the discordant patients, of whom there is a random number: Bin(``patients``, only_a + only_b).

    Args:
        only_a: Share of the patients of whom model A alone is right, 0 to 1.
        only_b: Share of whom model B alone is right, 0 to 1.
        patients: Number of patients.
        alpha: Level of the test, between 0 and 1.

    Raises:
        ValueError: An argument is outside of its range.
    """
    discordant = only_a + only_b
    _check("only_a + only_b", discordant, 0.0, 1.0)
    _check_open("alpha", alpha)
    numbers = np.arange(patients + 1)
    weights = binom.pmf(numbers, patients, discordant)
    likely = weights > 1e-12  # the others change the power by less than 1e-6
    return float(weights[likely] @ _rejected(numbers[likely], only_b / discordant, alpha))


def patients_for_mcnemar(only_a: float, only_b: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Smallest number of patients from which on the exact McNemar test has so much power.

    Args:
        only_a: Share of the patients of whom model A alone is right, 0 to 1.
        only_b: Share of whom model B alone is right; another than ``only_a``.
        power: Between 0 and 1.
        alpha: Level of the test.

    Raises:
        ValueError: An argument is outside of its range, or the models do not differ.
    """
    _check_open("power", power)
    if only_a == only_b:
        raise ValueError(
            f"expected shares that differ, found {only_a:g} twice: no number of patients would do"
        )
    return _smallest(lambda patients: mcnemar_power(only_a, only_b, patients, alpha) >= power)


def discordant_if_independent(a: float, b: float) -> float:
    """Share of patients of whom one model alone is right, if the models err independently; correlated models have less."""
    return a * (1.0 - b) + b * (1.0 - a)


def _rejected(discordant: npt.NDArray[np.int64], share_b: float, alpha: float) -> _Floats:
    """Probability that the exact test rejects, for each number of discordant patients, shape [n]."""
    # Largest count in the lower tail with a two-sided p of at most alpha; the upper tail mirrors it.
    critical = binom.ppf(alpha / 2.0, discordant, 0.5)
    critical = critical - (binom.cdf(critical, discordant, 0.5) * 2.0 > alpha)
    lower = binom.cdf(critical, discordant, share_b)
    upper = binom.sf(discordant - critical - 1, discordant, share_b)
    return np.where(critical < 0, 0.0, lower + upper)


def _smallest(suffices: Callable[[int], bool], teeth: int = _TEETH) -> int:
    """Smallest number from which on ``teeth`` numbers in a row suffice."""
    high = 1
    while not suffices(high):
        high *= 2
        if high > MOST:
            raise ValueError(f"expected a question that at most {MOST:,} patients answer; ask for less")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    # Bisection found one number that suffices after one that does not; earlier ones may, and later ones may not.
    first = high
    candidate = max(1, high - teeth)
    run = 0
    while run < teeth:
        if suffices(candidate):
            first, run = (candidate, 1) if run == 0 else (first, run + 1)
        else:
            run = 0
        candidate += 1
    return first


def _check(name: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most and value > 0.0):
        raise ValueError(f"expected {name} above 0, from {least:g} to {most:g}, found {value:g}")


def _check_open(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise ValueError(f"expected {name} between 0 and 1, found {value:g}")
