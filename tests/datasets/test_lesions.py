"""Places that people marked, held against the places shown."""

from collections.abc import Sequence

import numpy as np
import pytest
import shapely

from inkdot.datasets.lesions import marks_of, positive_places
from inkdot.datasets.reader_agreement import reader_figures
from inkdot.labels import DEFAULT_HEADS, MALIGNANCY
from inkdot.metrics.agreement import fleiss_kappa
from inkdot.review.results.ranking import Place, Ranking
from inkdot.storage.tables.labels_table import PlaceLabel


def label(x: int, answer: str, reader: str = "a", head: str = "malignancy", slide: str = "S1") -> PlaceLabel:
    return PlaceLabel(slide, shapely.box(x, 0, x + 20, 20), head, answer, reader, "annotation")


def shown(*places: tuple[int, float]) -> Ranking:
    """Squares of 10 px at x with a score, best first."""
    found = tuple(
        Place(rank, x, 0, 10.0, 10.0, score, False, {}) for rank, (x, score) in enumerate(places, start=1)
    )
    return Ranking(places=found, flagged_tiles=0, tiles=len(found), more_flagged=False)


def test_a_lesion_has_the_highest_score_of_what_touches_it() -> None:
    labels = [label(0, "malignant"), label(100, "malignant"), label(200, "benign")]
    marks = marks_of(shown((200, 0.9), (15, 0.8), (5, 0.6)), labels, MALIGNANCY, truth=True)
    np.testing.assert_array_equal(marks.lesion_scores, [0.8, -np.inf])
    assert not len(marks.alarm_scores)


def test_alarms_are_what_is_shown_of_negative_slides_only() -> None:
    places = shown((0, 0.9), (50, 0.2))
    negative = marks_of(places, [label(0, "benign")], MALIGNANCY, truth=False)
    np.testing.assert_array_equal(negative.alarm_scores, [0.9, 0.2])
    assert not len(negative.lesion_scores)
    unknown = marks_of(places, [], MALIGNANCY, truth=None)
    assert not len(unknown.alarm_scores)
    assert not len(marks_of(shown(), [], MALIGNANCY, truth=False).alarm_scores)


def test_nothing_shown_finds_nothing() -> None:
    marks = marks_of(shown(), [label(0, "malignant")], MALIGNANCY, truth=True)
    np.testing.assert_array_equal(marks.lesion_scores, [-np.inf])


def test_readers_of_one_place_are_one_lesion_where_most_call_it_so() -> None:
    """Two against one make a lesion; one against one, and atypical alone, make none."""
    places = [
        *(
            label(0, answer, reader)
            for answer, reader in (("malignant", "a"), ("malignant", "b"), ("benign", "c"))
        ),
        *(label(100, answer, reader) for answer, reader in (("malignant", "a"), ("benign", "b"))),
        label(200, "atypical", "a"),
        label(300, "unsure", "a"),
        label(400, "small_cell", "a", "morphology"),
    ]
    (lesion,) = positive_places(places, MALIGNANCY)
    assert lesion.bounds == (0, 0, 20, 20)


def answered(readers: Sequence[str], *answers: Sequence[str]) -> list[PlaceLabel]:
    """One row of answers per reader; places of three on each slide."""
    return [
        label(100 * (place % 3), answer, reader, slide=f"S{place // 3}")
        for reader, own in zip(readers, answers, strict=True)
        for place, answer in enumerate(own)
    ]


def test_the_readers_kappa_is_that_of_their_answers_place_by_place() -> None:
    first = [
        "malignant",
        "benign",
        "benign",
        "malignant",
        "unsure",
        "benign",
        "malignant",
        "benign",
        "benign",
    ]
    second = [
        "malignant",
        "benign",
        "malignant",
        "malignant",
        "benign",
        "benign",
        "malignant",
        "atypical",
        "benign",
    ]
    labels = answered("ab", first, second)
    estimate = reader_figures(labels, DEFAULT_HEADS)["kappa.malignancy"]
    names = list(MALIGNANCY.answers)
    counts = np.zeros((9, len(names)), int)
    for own in (first, second):
        for place, answer in enumerate(own):
            counts[place, names.index(answer)] += 1
    assert estimate.value == pytest.approx(fleiss_kappa(counts))
    assert estimate.low <= estimate.value <= estimate.high
    assert reader_figures(answered("a", first), DEFAULT_HEADS) == {}
