"""Lesions that readers marked, matched with the regions that a model shows."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.annotations import read_annotation
from inkdot.config import AnnotationConfig
from inkdot.labels import Head
from inkdot.metrics.classification import FloatArray
from inkdot.records import SlideEntry
from inkdot.review.results.ranking import Ranking
from inkdot.review.verdicts.verdict_table import same_region_numbers
from inkdot.slides import open_slide
from inkdot.storage.tables.labels_table import RegionLabel


@dataclass(frozen=True, slots=True)
class Lesions:
    """Scores of a slide's lesions (regions that its readers labelled positive) and of its false positives.

    Attributes:
        lesion_scores: Highest score of a shown region that touches the lesion; −inf where none does, shape [lesions].
        false_positive_scores: Of a negative slide, the score of every region shown; else empty, shape [false positives].
        labels: Labels of regions, by all readers.
    """

    lesion_scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    false_positive_scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    labels: tuple[RegionLabel, ...] = ()


def region_labels(
    entry: SlideEntry, annotations: AnnotationConfig, heads: Sequence[Head]
) -> tuple[RegionLabel, ...]:
    """Labels of regions of a slide; empty where it has no annotation.

    Raises:
        SlideError: The slide or its annotation cannot be read.
    """
    if entry.annotation is None:
        return ()
    with closing(open_slide(entry)) as slide:
        return read_annotation(entry.annotation, slide.info, annotations, heads).labels


def match_lesions(ranking: Ranking, labels: Sequence[RegionLabel], head: Head, truth: bool | None) -> Lesions:
    """Match the regions shown of a slide with its lesions.

    Args:
        ranking: The regions shown.
        labels: Labels of regions of the slide.
        head: The flagging head.
        truth: Whether the slide is positive; None where unknown.
    """
    shown = np.array([shapely.Polygon(region.ring_l0_px) for region in ranking.regions], dtype=object)
    scores = np.array([region.score for region in ranking.regions], np.float64)
    if truth is False:
        return Lesions(false_positive_scores=scores, labels=tuple(labels))
    best: list[float] = []
    for lesion in positive_regions(labels, head):
        touching = scores[shapely.intersects(shown, lesion)] if len(shown) else scores
        best.append(float(touching.max(initial=-np.inf)))
    return Lesions(lesion_scores=np.array(best, np.float64), labels=tuple(labels))


def positive_regions(labels: Sequence[RegionLabel], head: Head) -> list[BaseGeometry]:
    """The regions whose mean label is the flag class; each once, however many readers labelled it."""
    column = head.classes.index(head.flag_class or "")
    return [geometry for geometry, target in labelled_regions(labels, head) if target[column] > 0.5]


def labelled_regions(
    labels: Sequence[RegionLabel], head: Head
) -> list[tuple[BaseGeometry, tuple[float, ...]]]:
    """The regions with a label of a head that is used in training, each once with the mean target of its readers.

    Args:
        labels: Labels of regions of one slide, by all readers.
        head: The head.
    """
    own = [label for label in labels if label.head == head.name]
    by_region: dict[int, list[RegionLabel]] = {}
    # One reader marks each region once; regions of several readers are matched, which compares every two regions.
    several = len({label.reader for label in own}) > 1
    numbers = same_region_numbers(own) if several else range(len(own))
    for number, label in zip(numbers, own, strict=True):
        by_region.setdefault(number, []).append(label)
    targets = [
        (same[0].geometry, head.soft_target(label.label for label in same)) for same in by_region.values()
    ]
    return [(geometry, target) for geometry, target in targets if target is not None]
