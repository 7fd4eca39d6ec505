"""Regions that people marked, held against the regions shown."""

from collections.abc import Sequence

import numpy as np
import pytest
import shapely

from inkdot.datasets.lesions import match_lesions, positive_regions
from inkdot.datasets.reader_agreement import reader_metrics
from inkdot.labels import DEFAULT_HEADS, MALIGNANCY
from inkdot.metrics.agreement import fleiss_kappa
from inkdot.review.results.ranking import Ranking, Region
from inkdot.storage.tables.labels_table import RegionLabel


def label(
    x: int, asked_label: str, reader: str = "a", head: str = "malignancy", slide: str = "S1"
) -> RegionLabel:
    return RegionLabel(slide, shapely.box(x, 0, x + 20, 20), head, asked_label, reader, "annotation")


def shown(*regions: tuple[int, float]) -> Ranking:
    """Squares of 10 px at x with a score, best first."""
    found = tuple(
        Region(rank, x, 0, 10.0, 10.0, score, False, {}) for rank, (x, score) in enumerate(regions, start=1)
    )
    return Ranking(regions=found, flagged_tiles=0, tiles=len(found), more_flagged=False, unit="region")


def test_a_lesion_has_the_highest_score_of_the_regions_that_touch_it() -> None:
    labels = [label(0, "malignant"), label(100, "malignant"), label(200, "benign")]
    marks = match_lesions(shown((200, 0.9), (15, 0.8), (5, 0.6)), labels, MALIGNANCY, truth=True)
    np.testing.assert_array_equal(marks.lesion_scores, [0.8, -np.inf])
    assert not len(marks.false_positive_scores)


def test_false_positives_are_regions_of_negative_slides_only() -> None:
    regions = shown((0, 0.9), (50, 0.2))
    negative = match_lesions(regions, [label(0, "benign")], MALIGNANCY, truth=False)
    np.testing.assert_array_equal(negative.false_positive_scores, [0.9, 0.2])
    assert not len(negative.lesion_scores)
    unknown = match_lesions(regions, [], MALIGNANCY, truth=None)
    assert not len(unknown.false_positive_scores)
    assert not len(match_lesions(shown(), [], MALIGNANCY, truth=False).false_positive_scores)


def test_without_a_region_no_lesion_is_found() -> None:
    marks = match_lesions(shown(), [label(0, "malignant")], MALIGNANCY, truth=True)
    np.testing.assert_array_equal(marks.lesion_scores, [-np.inf])


def test_a_region_of_several_readers_is_one_lesion_where_most_call_it_positive() -> None:
    """Two against one make a lesion; one against one, and atypical alone, make none."""
    regions = [
        *(
            label(0, asked_label, reader)
            for asked_label, reader in (("malignant", "a"), ("malignant", "b"), ("benign", "c"))
        ),
        *(label(100, asked_label, reader) for asked_label, reader in (("malignant", "a"), ("benign", "b"))),
        label(200, "atypical", "a"),
        label(300, "unsure", "a"),
        label(400, "small_cell", "a", "morphology"),
    ]
    (lesion,) = positive_regions(regions, MALIGNANCY)
    assert lesion.bounds == (0, 0, 20, 20)


def labelled(readers: Sequence[str], *labels: Sequence[str]) -> list[RegionLabel]:
    """One row of labels per reader; regions of three on each slide."""
    return [
        label(100 * (region % 3), asked_label, reader, slide=f"S{region // 3}")
        for reader, own in zip(readers, labels, strict=True)
        for region, asked_label in enumerate(own)
    ]


def test_kappa_of_the_readers_is_that_of_their_labels_region_by_region() -> None:
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
    labels = labelled("ab", first, second)
    estimate = reader_metrics(labels, DEFAULT_HEADS)["kappa.malignancy"]
    names = list(MALIGNANCY.labels)
    counts = np.zeros((9, len(names)), int)
    for own in (first, second):
        for region, asked_label in enumerate(own):
            counts[region, names.index(asked_label)] += 1
    assert estimate.value == pytest.approx(fleiss_kappa(counts))
    assert estimate.low <= estimate.value <= estimate.high
    assert reader_metrics(labelled("a", first), DEFAULT_HEADS) == {}
