"""Which of the places that people marked are found, how high, and what is shown where nothing is."""

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
from inkdot.review.verdicts.verdict_table import same_place_numbers
from inkdot.slides import open_slide
from inkdot.storage.tables.labels_table import PlaceLabel


@dataclass(frozen=True, slots=True)
class Marks:
    """What the first places shown of a slide say of its lesions: the places that readers called positive.

    Attributes:
        lesion_scores: Highest score of a shown place that touches the lesion; −inf where none does, shape [lesions].
        alarm_scores: Of a negative slide, the score of every place shown; else empty, shape [alarms].
        labels: What was said about places, by everybody.
    """

    lesion_scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    alarm_scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    labels: tuple[PlaceLabel, ...] = ()


def labels_of(entry: SlideEntry, config: Config) -> tuple[PlaceLabel, ...]:
    """What was said about places of a slide; none where it has no annotation.

    Raises:
        SlideError: The slide or its annotation cannot be read.
    """
    if entry.annotation is None:
        return ()
    with closing(open_slide(entry)) as slide:
        return read_annotation(entry.annotation, slide.info, config.annotations, config.head_records).labels


def marks_of(ranking: Ranking, labels: Sequence[PlaceLabel], head: Head, truth: bool | None) -> Marks:
    """Hold the places shown of a slide against what people said.

    Args:
        ranking: The places shown.
        labels: What was said about places of the slide.
        head: The flagging question.
        truth: Whether the slide is positive; None where unknown.
    """
    shown = np.array([shapely.Polygon(place.ring_l0_px) for place in ranking.places], dtype=object)
    scores = np.array([place.score for place in ranking.places], np.float64)
    if truth is False:
        return Marks(alarm_scores=scores, labels=tuple(labels))
    found: list[float] = []
    for lesion in positive_places(labels, head):
        touching = scores[shapely.intersects(shown, lesion)] if len(shown) else scores
        found.append(float(touching.max(initial=-np.inf)))
    return Marks(lesion_scores=np.array(found, np.float64), labels=tuple(labels))


def positive_places(labels: Sequence[PlaceLabel], head: Head) -> list[BaseGeometry]:
    """The places that their readers, on the whole, called the flag class; each once, however many answered."""
    own = [label for label in labels if label.head == head.name]
    column = head.classes.index(head.flag_class or "")
    answers: dict[int, list[PlaceLabel]] = {}
    # One reader means each place once; several are matched, which takes a look at every two places.
    several = len({label.reader for label in own}) > 1
    numbers = same_place_numbers(own) if several else range(len(own))
    for number, label in zip(numbers, own, strict=True):
        answers.setdefault(number, []).append(label)
    places: list[BaseGeometry] = []
    for said in answers.values():
        target = head.soft_target(label.answer for label in said)
        if target is not None and target[column] > 0.5:
            places.append(said[0].place)
    return places
