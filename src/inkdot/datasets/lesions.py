"""Which of the regions that people marked are found, how high, and what is shown where nothing is."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.annotations import read_annotation
from inkdot.config import Config
from inkdot.labels import Head
from inkdot.metrics.classification import FloatArray
from inkdot.records import SlideEntry
from inkdot.review.results.ranking import Ranking
from inkdot.review.verdicts.verdict_table import same_region_numbers
from inkdot.slides import open_slide
from inkdot.storage.tables.labels_table import RegionLabel


@dataclass(frozen=True, slots=True)
class Lesions:
    """What the first regions shown of a slide say of its lesions: the regions that readers called positive.

    Attributes:
        lesion_scores: Highest score of a shown region that touches the lesion; −inf where none does, shape [lesions].
        alarm_scores: Of a negative slide, the score of every region shown; else empty, shape [alarms].
        labels: What was said about regions, by everybody.
    """

    lesion_scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    alarm_scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    labels: tuple[RegionLabel, ...] = ()


def labels_of(entry: SlideEntry, config: Config) -> tuple[RegionLabel, ...]:
    """What was said about regions of a slide; none where it has no annotation.

    Raises:
        SlideError: The slide or its annotation cannot be read.
    """
    if entry.annotation is None:
        return ()
    with closing(open_slide(entry)) as slide:
        return read_annotation(entry.annotation, slide.info, config.annotations, config.head_records).labels


def lesions_of(ranking: Ranking, labels: Sequence[RegionLabel], head: Head, truth: bool | None) -> Lesions:
    """Hold the regions shown of a slide against what people said.

    Args:
        ranking: The regions shown.
        labels: What was said about regions of the slide.
        head: The flagging head.
        truth: Whether the slide is positive; None where unknown.
    """
    shown = np.array([shapely.Polygon(region.ring_l0_px) for region in ranking.regions], dtype=object)
    scores = np.array([region.score for region in ranking.regions], np.float64)
    if truth is False:
        return Lesions(alarm_scores=scores, labels=tuple(labels))
    found: list[float] = []
    for lesion in positive_regions(labels, head):
        touching = scores[shapely.intersects(shown, lesion)] if len(shown) else scores
        found.append(float(touching.max(initial=-np.inf)))
    return Lesions(lesion_scores=np.array(found, np.float64), labels=tuple(labels))


def positive_regions(labels: Sequence[RegionLabel], head: Head) -> list[BaseGeometry]:
    """The regions that their readers, on the whole, called the flag class; each once, however many labelled."""
    own = [label for label in labels if label.head == head.name]
    column = head.classes.index(head.flag_class or "")
    by_region: dict[int, list[RegionLabel]] = {}
    # One reader means each region once; several are matched, which takes a look at every two regions.
    several = len({label.reader for label in own}) > 1
    numbers = same_region_numbers(own) if several else range(len(own))
    for number, label in zip(numbers, own, strict=True):
        by_region.setdefault(number, []).append(label)
    regions: list[BaseGeometry] = []
    for said in by_region.values():
        target = head.soft_target(label.label for label in said)
        if target is not None and target[column] > 0.5:
            regions.append(said[0].geometry)
    return regions
