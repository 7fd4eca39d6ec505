"""A slide's score from those of its tiles and their attention: what the network's own pooling gives, from the tables."""

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


def attended(probabilities: Floats, weights: Floats) -> npt.NDArray[np.float64]:
    """Probabilities of a slide: softmax of the weighted mean of its tiles' log-probabilities, shape [classes].

    Log-probabilities are logits over the temperature up to a constant per tile. As weights sum to 1, the constants add up
    to one for the slide, which the softmax takes away: this is the weighted mean of logits, at the same temperature.
    Of two classes, none gets more than on the tile where it is likeliest.

    Args:
        probabilities: Of one head, shape [n, classes], n at least 1.
        weights: Attention, sum 1, shape [n].
    """
    logs = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))
    return softmax(weights.astype(np.float64) @ logs)
