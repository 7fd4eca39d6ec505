"""The score of a slide, where the model judges slides by attention rather than by their best region."""

import numpy as np

from inkdot.metrics.attention_pooling import attended
from inkdot.storage.tables.scores import SlideScores


def attention_score(scores: SlideScores) -> np.float32 | None:
    """Probability (0 to 1) of the flag class on the slide, or None: it is judged by its best region, or has none.

    Float32, as the scores of regions are and as the operating point was locked on.
    """
    head = scores.flag_head
    if not len(scores.flag_scores) or scores.operating_points[head.name].judged_on != "attention":
        return None
    classes = np.stack([scores.probabilities(head.name, name) for name in head.classes], axis=1)
    weights = scores.table.column("attention").to_numpy()
    return np.float32(attended(classes, weights)[head.classes.index(head.flag_class or "")])
