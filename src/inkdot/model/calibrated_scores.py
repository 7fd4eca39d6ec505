"""Probabilities from logits, by the temperatures of a model."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from inkdot.labels import Head, head_slices
from inkdot.metrics.calibration import softmax
from inkdot.model.runtimes.batches import LogitArray

ScoreArray = npt.NDArray[np.float32]


def calibrated_scores(
    logits: LogitArray, heads: Sequence[Head], temperatures: Mapping[str, float]
) -> ScoreArray:
    """Softmax of each head's logits divided by its temperature, float32 [n, classes of all heads].

    Further columns of the logits, which hold attention, are ignored.
    """
    slices = head_slices(heads)
    scores = np.empty((len(logits), max(own.stop for own in slices.values())), np.float32)
    for name, columns in slices.items():
        scores[:, columns] = softmax(logits[:, columns].astype(np.float64) / temperatures.get(name, 1.0))
    return scores
