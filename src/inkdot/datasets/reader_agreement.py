"""Agreement of the readers of labelled regions, which bounds the performance to expect of a model."""

from collections.abc import Sequence

import numpy as np

from inkdot.labels import Head
from inkdot.metrics.agreement import fleiss_estimate
from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.review.verdicts.verdict_table import same_region_numbers
from inkdot.storage.tables.labels_table import RegionLabel

_MIN_READERS = 2


def reader_metrics(labels: Sequence[RegionLabel], heads: Sequence[Head]) -> dict[str, Estimate]:
    """Fleiss' kappa of all readers per head, over the regions that at least two labelled; intervals over slides.

    Args:
        labels: Labels of regions of all slides, by all readers.
        heads: The heads.
    """
    metrics: dict[str, Estimate] = {}
    for head in heads:
        own = [label for label in labels if label.head == head.name]
        if len({label.reader for label in own}) < _MIN_READERS:
            continue
        estimate = _kappa(own, head)
        if estimate is not None:
            metrics[f"kappa.{head.name}"] = estimate
    return metrics


def _kappa(labels: Sequence[RegionLabel], head: Head) -> Estimate | None:
    known = list(head.labels)
    numbers = same_region_numbers(labels)
    # Where regions of one reader overlap, the reader's last label counts.
    last = {(number, label.reader): label for number, label in zip(numbers, labels, strict=True)}
    counts = np.zeros((max(numbers) + 1, len(known)), np.int64)
    slides = [""] * len(counts)
    for (number, _), label in last.items():
        counts[number, known.index(label.label)] += 1
        slides[number] = label.slide_id
    return fleiss_estimate(counts, np.array(slides))
