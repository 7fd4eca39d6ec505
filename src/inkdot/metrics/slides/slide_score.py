"""How the highest score of a benign slide grows with the number of its candidates.

The maximum of n independent scores whose logits have an exponential tail of scale s has a Gumbel distribution whose location
grows by s·log n (Coles 2001, An Introduction to Statistical Modeling of Extreme Values, chapter 3). Candidates of a slide are
not independent, and much of what a larger slide has more of is clearly benign: measured slopes are between 0 and s. So the slope
is fitted to the highest scores of whole benign slides, and the tail only says where to look for it.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]

FEWEST_SLIDES: Final = 8
"""Benign slides below which no slope is fitted (docs/explanation/decisions/0205)."""

_TOP: Final = 3
"""Logits of a slide whose mean stands for the highest: the error of the slope is a quarter smaller than with one."""

_TAIL_FRACTION: Final = 0.1
_TAIL_MOST: Final = 50
_TAIL_LEAST: Final = 5


def fit_count_slope(benign: Sequence[FloatArray]) -> float:
    """How much the highest logit of a benign slide grows with the logarithm of the number of its candidates.

    The least-squares slope on log n of the mean of each slide's three highest logits, as the posterior mean under a normal
    prior. Its mean and standard deviation are both half the scale of the upper tail within slides: from 0, where what a
    larger slide has more of is clearly benign, to the whole scale, where candidates are exchangeable. The fewer the slides, and
    the more alike their counts, the more the prior decides.

    Args:
        benign: Logits of the flag class of the candidates (clusters, or tiles of the grid) of each benign slide, each of
            shape [n] with n of at least 1. Malignant slides must not be among them: what they teach about the count is how
            cellular malignant slides were.

    Returns:
        0 or more, in logits per unit of log n; 0 where a slide's candidates are all alike or the slides are fewer than two.
    """
    scale = tail_scale(benign)
    if len(benign) < 2 or scale <= 0.0:
        return 0.0
    slope, precision = top_slope(benign)
    prior_precision = 1.0 / (0.5 * scale) ** 2
    return max(0.0, (precision * slope + prior_precision * 0.5 * scale) / (precision + prior_precision))


def top_slope(benign: Sequence[FloatArray], top: int = _TOP) -> tuple[float, float]:
    """Least-squares slope, on the logarithm of the count, of the mean of each slide's highest logits; and its precision.

    In the tail the k-th highest logit grows by as much as the highest (of n it is as the highest of n / k), and varies less.

    Args:
        benign: See :func:`fit_count_slope`.
        top: How many of each slide.

    Returns:
        The slope and 1 / its squared standard error; both 0 where all counts are alike.
    """
    logs = np.log([len(own) for own in benign])
    highest = np.array([float(np.sort(own)[-top:].mean()) for own in benign])
    logs, highest = logs - logs.mean(), highest - highest.mean()
    spread = float(logs @ logs)
    if spread <= 0.0 or len(benign) < 3:
        return 0.0, 0.0
    slope = float(logs @ highest) / spread
    residual = float(np.sum((highest - slope * logs) ** 2)) / (len(benign) - 2)
    return slope, spread / max(residual, 1e-6)


def tail_scale(benign: Sequence[FloatArray]) -> float:
    """Scale of the exponential tail of logits within slides: the mean excess over each slide's own high quantile.

    The excesses are those of the upper tenth of a slide's candidates, 5 to 50 of them, all slides pooled. It is the
    maximum-likelihood estimate for an exponential tail.

    Returns:
        0 or more, in logits; 0 where no slide has two candidates.
    """
    excess, number = 0.0, 0
    for own in benign:
        taken = min(max(_TAIL_LEAST, min(round(_TAIL_FRACTION * len(own)), _TAIL_MOST)), len(own) - 1)
        if taken > 0:
            top = np.partition(own.astype(np.float64), len(own) - taken - 1)[-taken - 1 :]
            excess += float(np.sum(top - top[0]))
            number += taken
    return excess / number if number else 0.0
