"""The attention-pooled score of a slide."""

import numpy as np

from inkdot.metrics.slides.attention_pooling import attention_pool
from inkdot.storage.tables.scores import SlideScores


def attention_score(scores: SlideScores) -> np.float32 | None:
    """Probability (0 to 1) of the flag class by attention or a transformer over the tiles; None without, or without tiles.

    Float32, as the scores of regions are and as the operating point was chosen on.
    """
    head = scores.flag_head
    if not len(scores.flag_scores) or scores.operating_points[head.name].evaluated_on != "attention":
        return None
    if scores.member_slide_scores:
        return np.float32(np.mean(scores.member_slide_scores))
    if scores.mil_score is not None:
        return np.float32(scores.mil_score)
    classes = np.stack([scores.probabilities(head.name, name) for name in head.classes], axis=1)
    weights = scores.table.column("attention").to_numpy()
    return np.float32(attention_pool(classes, weights)[head.classes.index(head.flag_class or "")])
