"""Calls of heads without a flag class, such as morphology: a class, or ``indeterminate``."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from inkdot.labels import INDETERMINATE, Head
from inkdot.storage.models.model_records import AbstentionBand

MIN_CALL_SCORE: Final = 0.75
"""A class is called at or above this score, or a higher one that the model locked; below, the call is
``indeterminate`` (docs/explanation/decisions/0060, 0090)."""


def head_call(head: Head, scores: Sequence[float], threshold: float | None = MIN_CALL_SCORE) -> str:
    """The call of a head, in the head's words.

    Args:
        head: The head.
        scores: Calibrated probability of each of its classes, in their order; of one cluster, or the mean over all
            flagged ones.
        threshold: Lowest score that gives a call; None for never.
    """
    best = int(np.argmax(scores))
    called = threshold is not None and scores[best] >= threshold
    return head.call_words(head.classes[best]) if called else INDETERMINATE


def call_threshold(abstention: Mapping[str, AbstentionBand], head: Head) -> float | None:
    """Lowest score at which a model makes a call of a head without a flag class; None for never."""
    band = abstention.get(head.name)
    return band.high if band else MIN_CALL_SCORE


def conditional_heads(heads: Sequence[Head], flag_head: Head) -> list[Head]:
    """The heads that apply only where the flag class is present."""
    return [head for head in heads if head.condition == (flag_head.name, flag_head.flag_class)]
