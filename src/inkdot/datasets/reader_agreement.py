"""How far the readers of labelled places agree: what a model could at best be expected to reach."""

from collections.abc import Sequence

import numpy as np

from inkdot.labels import Head
from inkdot.metrics.agreement import fleiss_estimate
from inkdot.metrics.confidence_intervals import Estimate
from inkdot.review.verdicts.verdict_table import same_place_numbers
from inkdot.storage.tables.labels_table import PlaceLabel

_FEWEST_READERS = 2


def reader_figures(labels: Sequence[PlaceLabel], heads: Sequence[Head]) -> dict[str, Estimate]:
    """Fleiss' kappa of all readers per question, over the places that at least two answered; intervals over slides.

    Args:
        labels: What was said about places of all slides, by whoever.
        heads: The questions.
    """
    figures: dict[str, Estimate] = {}
    for head in heads:
        own = [label for label in labels if label.head == head.name]
        if len({label.reader for label in own}) < _FEWEST_READERS:
            continue
        estimate = _kappa(own, head)
        if estimate is not None:
            figures[f"kappa.{head.name}"] = estimate
    return figures


def _kappa(labels: Sequence[PlaceLabel], head: Head) -> Estimate | None:
    answers = list(head.answers)
    numbers = same_place_numbers(labels)
    # Where a reader's places overlap, the last answer about the place is the reader's.
    last = {(number, label.reader): label for number, label in zip(numbers, labels, strict=True)}
    counts = np.zeros((max(numbers) + 1, len(answers)), np.int64)
    slides = [""] * len(counts)
    for (number, _), label in last.items():
        counts[number, answers.index(label.answer)] += 1
        slides[number] = label.slide_id
    return fleiss_estimate(counts, np.array(slides))
