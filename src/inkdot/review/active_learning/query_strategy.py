"""Query strategy of active learning: uncertainty weighted by diversity.

Regions that the model is certain of, or that resemble reviewed ones, add little information. Each step selects the region
with the largest product of uncertainty and distance to everything reviewed or selected: greedy k-centre (Gonzalez 1985,
doi:10.1016/0304-3975(85)90224-5; in active learning: the core-set approach of Sener and Savarese 2018) weighted by entropy.

Scores are calibrated with balanced classes. Malignant regions are rare in a cohort: there a score of 0.5 almost always
means benign, and truly uncertain regions score far higher. Entropy is therefore computed after prior correction, with class
frequencies estimated from the scores of these regions.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from inkdot.labels import Head, score_column

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_LEAST_PROBABILITY = 1e-4  # calibration does not resolve scores nearer to 0 or 1
_STEPS = 200  # of expectation maximisation, which converges long before


def entropy_bits(scores: Mapping[str, FloatArray], heads: Sequence[Head]) -> FloatArray:
    """Joint entropy of all heads in bits, shape [n].

    A conditional head is weighted by the probability of its condition (chain rule: the joint entropy is that of the first
    head plus the expected entropy of the second), so that morphology matters only where malignancy is likely.

    Args:
        scores: Probabilities by column ``p.<head>.<class>``, each 0 to 1 of shape [n].
        heads: The heads.
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
    """Adjust scores calibrated with balanced classes to the class frequencies among these regions.

    The frequencies are estimated by expectation maximisation on the scores alone (Saerens, Latinne and Decaestecker 2002,
    doi:10.1162/089976602753284446). Conditional heads are not adjusted.

    Args:
        scores: Calibrated probabilities by column ``p.<head>.<class>``, each 0 to 1 of shape [n].
        heads: The heads.
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
    """Posterior probabilities, shape [classes, n], at the class frequencies of maximum likelihood."""
    frequencies = np.full((len(shares), 1), 1.0 / len(shares))
    adjusted = shares
    for _ in range(_STEPS):
        weighted = shares * frequencies
        adjusted = weighted / weighted.sum(axis=0)
        # At least one region per class: an absent class may have been missed.
        frequencies = np.maximum(adjusted.mean(axis=1, keepdims=True), 1.0 / shares.shape[1])
        frequencies /= frequencies.sum()
    return adjusted


def _shares(scores: Mapping[str, FloatArray], head: Head) -> FloatArray:
    """The scores of a head's classes, normalised to sum 1 and above 0, shape [classes, n]."""
    parts = np.stack([scores[score_column(head.name, name)] for name in head.classes])
    return np.clip(parts / np.maximum(parts.sum(axis=0), 1e-12), 1e-12, 1.0)


def score_features(scores: Mapping[str, FloatArray]) -> FloatArray:
    """Log odds of the scores, shape [n, columns]."""
    columns = np.stack([scores[name] for name in sorted(scores)], axis=1)
    bounded = np.clip(columns, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY)
    return np.log(bounded / (1.0 - bounded))


def standardize(features: FloatArray) -> FloatArray:
    """Standardise columns to mean 0 and standard deviation 1; missing values (NaN) and constant columns become 0.

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


def select_queries(
    uncertainty: FloatArray, features: FloatArray, reviewed: FloatArray, count: int
) -> tuple[IntArray, FloatArray]:
    """Select regions greedily, each by the largest product of uncertainty and distance.

    Args:
        uncertainty: Per candidate, 0 or more, shape [n].
        features: Features of the candidates, shape [n, d].
        reviewed: Features of the reviewed regions, shape [m, d].
        count: How many to select at most.

    Returns:
        Indices in the order of selection, and the distance of each to the nearest region reviewed or selected before it
        (infinite for the first where nothing was reviewed).
    """
    nearest = np.full(len(features), np.inf)
    for point in reviewed:
        nearest = np.minimum(nearest, _distances(features, point))
    waiting = np.ones(len(features), dtype=np.bool_)
    selected: list[int] = []
    distances: list[float] = []
    for _ in range(min(count, len(features))):
        # Without any reviewed region all distances are equal.
        gain = uncertainty * np.where(np.isfinite(nearest), nearest, 1.0)
        # Duplicates of selected regions come last, by uncertainty.
        gain = np.where(waiting, gain + 1e-9 * uncertainty, -1.0)
        best = int(np.argmax(gain))
        selected.append(best)
        distances.append(float(nearest[best]))
        waiting[best] = False
        nearest = np.minimum(nearest, _distances(features, features[best]))
    return np.asarray(selected, dtype=np.int64), np.asarray(distances, dtype=np.float64)


def _distances(features: FloatArray, point: FloatArray) -> FloatArray:
    return np.sqrt(((features - point) ** 2).sum(axis=1))
