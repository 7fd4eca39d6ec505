"""Which regions to ask a reader about next: those the model is unsure of, and no two alike.

A region that the model is sure of teaches little, and the second of two that look alike teaches little more than the
first. Each step takes the place with the largest product of uncertainty and distance to everything already asked or
chosen: greedy k-centre (Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5; for asking: Sener and Savarese 2018) weighted
by entropy.

Scores are calibrated with classes in equal shares. Among the regions of a cohort malignant ones are rare: there a score of a
half means benign, almost surely, and what is truly open scores far higher. Entropy is therefore that of the scores as
they would be where classes are as frequent as among these very regions, which the scores themselves tell.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from inkdot.labels import Head, score_column

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_LEAST_PROBABILITY = 1e-4  # scores nearer to 0 or 1 are not told apart: calibration knows no better
_STEPS = 200  # of the estimate of frequencies, which has settled long before


def entropy_bits(scores: Mapping[str, FloatArray], heads: Sequence[Head]) -> FloatArray:
    """Entropy of all questions' verdicts together, in bits, shape [n].

    A question that depends on another's verdict counts by the probability that it is asked (chain rule: the entropy of
    both is that of the first plus the expected entropy of the second), so that morphology matters only where
    malignancy is likely.

    Args:
        scores: Probabilities by column ``p.<head>.<class>``, each 0 to 1 of shape [n].
        heads: The questions.
    """
    total: FloatArray | None = None
    for head in heads:
        shares = _shares(scores, head)
        entropy = -(shares * np.log2(shares)).sum(axis=0)
        if head.condition is not None:
            entropy = entropy * scores[score_column(*head.condition)]
        total = entropy if total is None else total + entropy
    assert total is not None
    return np.maximum(total, 0.0)


def prior_corrected(scores: Mapping[str, FloatArray], heads: Sequence[Head]) -> dict[str, FloatArray]:
    """Scores calibrated with classes in equal shares, as they are where classes are as frequent as among these regions.

    How frequent is found by expectation and maximisation on the scores alone (Saerens, Latinne and Decaestecker 2002,
    doi:10.1162/089976602753284446). A question that depends on another's verdict stays as it is: it is open for the few
    regions where it is asked.

    Args:
        scores: Calibrated probabilities by column ``p.<head>.<class>``, each 0 to 1 of shape [n].
        heads: The questions.
    """
    found = dict(scores)
    for head in heads:
        if head.condition is None:
            adjusted = _adjusted(_shares(scores, head))
            found |= {
                score_column(head.name, name): row for name, row in zip(head.classes, adjusted, strict=True)
            }
    return found


def _adjusted(shares: FloatArray) -> FloatArray:
    """Shares of classes, shape [classes, n], at the frequencies that explain them best."""
    frequencies = np.full((len(shares), 1), 1.0 / len(shares))
    adjusted = shares
    for _ in range(_STEPS):
        weighed = shares * frequencies
        adjusted = weighed / weighed.sum(axis=0)
        # None rarer than one region: a class that is not here at all may still be what is missed.
        frequencies = np.maximum(adjusted.mean(axis=1, keepdims=True), 1.0 / shares.shape[1])
        frequencies /= frequencies.sum()
    return adjusted


def _shares(scores: Mapping[str, FloatArray], head: Head) -> FloatArray:
    """The scores of a question's classes, sum 1, none 0, shape [classes, n]."""
    parts = np.stack([scores[score_column(head.name, name)] for name in head.classes])
    return np.clip(parts / np.maximum(parts.sum(axis=0), 1e-12), 1e-12, 1.0)


def score_features(scores: Mapping[str, FloatArray]) -> FloatArray:
    """Scores as numbers in which a difference means the same near 0, near 1 and between: log odds, shape [n, columns]."""
    columns = np.stack([scores[name] for name in sorted(scores)], axis=1)
    bounded = np.clip(columns, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY)
    return np.log(bounded / (1.0 - bounded))


def standardised(features: FloatArray) -> FloatArray:
    """Each column with mean 0 and standard deviation 1, what is missing (NaN) at the mean; constant columns are 0.

    Divided by the root of the number of columns, so that distances do not grow with it.
    """
    known = np.isfinite(features)
    counts = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, features, 0.0)
    means = filled.sum(axis=0) / counts
    centred = np.where(known, features - means, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / counts)
    scale = np.where(spread > 0, spread, np.inf) * np.sqrt(max(1, features.shape[1]))
    return centred / scale


def query(
    uncertainty: FloatArray, features: FloatArray, asked: FloatArray, count: int
) -> tuple[IntArray, FloatArray]:
    """Choose regions one after the other, each the best given those before.

    Args:
        uncertainty: Of each region, 0 or more, shape [n].
        features: Where each lies among the others, shape [n, d].
        asked: The same of regions that were reviewed already, shape [m, d].
        count: How many to choose; fewer come where there are fewer.

    Returns:
        Their indices in the order of choice, and the distance of each to the nearest asked or chosen before it
        (infinite for the first where nothing was asked).
    """
    nearest = np.full(len(features), np.inf)
    for point in asked:
        nearest = np.minimum(nearest, _distances(features, point))
    waiting = np.ones(len(features), dtype=np.bool_)
    chosen: list[int] = []
    distances: list[float] = []
    for _ in range(min(count, len(features))):
        # Before anything is known every region is equally far from it.
        gain = uncertainty * np.where(np.isfinite(nearest), nearest, 1.0)
        # Copies of what is chosen come last, by uncertainty, instead of in the order of the table.
        gain = np.where(waiting, gain + 1e-9 * uncertainty, -1.0)
        best = int(np.argmax(gain))
        chosen.append(best)
        distances.append(float(nearest[best]))
        waiting[best] = False
        nearest = np.minimum(nearest, _distances(features, features[best]))
    return np.asarray(chosen, dtype=np.int64), np.asarray(distances, dtype=np.float64)


def _distances(features: FloatArray, point: FloatArray) -> FloatArray:
    return np.sqrt(((features - point) ** 2).sum(axis=1))
