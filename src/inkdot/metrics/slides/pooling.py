"""Scores of clusters from the scores of their tiles."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from inkdot.labels import Head, flag_column
from inkdot.metrics.calibration import softmax

Pooling = Literal["max", "mean"]
"""max: the scores of the tile with the highest score of the flag class. mean: mean of the logits over all tiles."""

CLUSTER_POOLING: Final[Pooling] = "max"
"""How a cluster's score is made from those of its tiles (docs/explanation/decisions/0060)."""

_SMALLEST: Final = 1e-7  # float32 scores may be exactly 0, which has no logarithm

Scores = npt.NDArray[np.floating]


def pooled(
    scores: Scores, rows: Sequence[npt.NDArray[np.integer]], heads: Sequence[Head], how: Pooling
) -> npt.NDArray[np.float64]:
    """Scores of groups of tiles; each head's classes sum to 1 again.

    Args:
        scores: Calibrated probabilities of the tiles, head by head, shape [tiles, classes of all heads].
        rows: Per group, the rows of its tiles.
        heads: The heads, in the order of the columns.
        how: The rule.

    Returns:
        Shape [groups, classes of all heads]; NaN for a group without tiles.
    """
    column = flag_column(heads)
    pooled_scores = np.full((len(rows), scores.shape[1]), np.nan)
    for group, own in enumerate(rows):
        if not len(own):
            continue
        if how == "max":
            pooled_scores[group] = scores[own[np.argmax(scores[own, column])]]
        else:
            pooled_scores[group] = _mean_of_logits(scores[own], heads)
    return pooled_scores


def _mean_of_logits(scores: Scores, heads: Sequence[Head]) -> npt.NDArray[np.float64]:
    # The logarithms of probabilities are the logits up to a constant per tile, which the softmax removes.
    logits = np.log(np.maximum(scores.astype(np.float64), _SMALLEST)).mean(axis=0)
    parts: list[npt.NDArray[np.float64]] = []
    start = 0
    for head in heads:
        parts.append(softmax(logits[start : start + len(head.classes)]))
        start += len(head.classes)
    return np.concatenate(parts)
