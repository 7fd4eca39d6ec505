"""Attention pooling from tables: a slide's score from the scores and attention of its tiles, as the network computes it."""

import numpy as np
import numpy.typing as npt

from inkdot.metrics.calibration import softmax

Floats = npt.NDArray[np.floating]

_SMALLEST = 1e-30
"""Below every probability that a trained network gives, and far above what float32 cannot hold."""


def attention_weights(scores: Floats) -> npt.NDArray[np.float64]:
    """Softmax over the tiles of one slide, shape [n], sum 1.

    Args:
        scores: Attention scores, shape [n].
    """
    return softmax(scores) if len(scores) else np.zeros(0)


def attention_pool(probabilities: Floats, weights: Floats) -> npt.NDArray[np.float64]:
    """Probabilities of a slide: softmax of the weighted mean of its tiles' log-probabilities, shape [classes].

    Log-probabilities are logits over the temperature up to a constant per tile. As the weights sum to 1, the constants
    become one constant of the slide, which the softmax removes: this is the weighted mean of logits at the same
    temperature. With two classes, no class gets more than on the tile where it is likeliest.

    Args:
        probabilities: Of one head, shape [n, classes], n at least 1.
        weights: Attention, sum 1, shape [n].
    """
    logs = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))
    return softmax(weights.astype(np.float64) @ logs)
