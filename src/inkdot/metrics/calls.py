"""When a head that flags nothing, such as morphology, is labelled, and when it stays open."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from inkdot.labels import INDETERMINATE, Head
from inkdot.storage.model_files import AbstentionBand

CERTAIN: Final = 0.75
"""A class is called where its score reaches this at least, more where the model locked more; else the label is
``indeterminate`` (docs/explanation/decisions/0060, 0090)."""


def further_call(head: Head, scores: Sequence[float], certain: float | None = CERTAIN) -> str:
    """What is said of a head, in the head's words.

    Args:
        head: The head.
        scores: Calibrated probability of each of its classes, in their order; of one cluster, or the mean over all
            that were flagged.
        certain: From which score on an label is given; None for never.
    """
    best = int(np.argmax(scores))
    given = certain is not None and scores[best] >= certain
    return head.call_words(head.classes[best]) if given else INDETERMINATE


def certain_from(abstention: Mapping[str, AbstentionBand], head: Head) -> float | None:
    """From which score on a model labels a head that flags nothing; None for never."""
    locked = abstention.get(head.name)
    return locked.high if locked else CERTAIN


def heads_asked_of(heads: Sequence[Head], flag_head: Head) -> list[Head]:
    """The heads that are asked only of what has the flag class."""
    return [head for head in heads if head.condition == (flag_head.name, flag_head.flag_class)]
