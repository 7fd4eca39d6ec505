"""When a question that flags nothing, such as morphology, is answered, and when it stays open."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from inkdot.labels import INDETERMINATE, Head

CERTAIN: Final = 0.75
"""A class is called where its score reaches this; else the answer is ``indeterminate`` (docs/decisions/0060)."""


def further_call(head: Head, scores: Sequence[float]) -> str:
    """What is said of a question, in the head's words.

    Args:
        head: The question.
        scores: Calibrated probability of each of its classes, in their order; of one cluster, or the mean over all
            that were flagged.
    """
    best = int(np.argmax(scores))
    return head.call_words(head.classes[best]) if scores[best] >= CERTAIN else INDETERMINATE


def heads_asked_of(heads: Sequence[Head], flag_head: Head) -> list[Head]:
    """The questions that are asked only of what has the flag class."""
    return [head for head in heads if head.condition == (flag_head.name, flag_head.flag_class)]
