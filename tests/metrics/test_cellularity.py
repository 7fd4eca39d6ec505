"""The number of candidates as a rival of the score."""

import numpy as np

from inkdot.metrics.classification import roc_auc
from inkdot.metrics.slides.cellularity import count_against_score, tertiles

PATIENTS = np.array([f"p{n}" for n in range(120)])


def cohort(skill: float, more_cells: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A slide's score is the highest of its candidates'; those of positive slides are ``skill`` higher."""
    generator = np.random.default_rng(5)
    truth = np.arange(120) % 3 == 0
    counts = generator.integers(20, 60, 120)
    counts[truth] = (counts[truth] * more_cells).astype(int)
    scores = np.array(
        [generator.normal(skill * own, 1, count).max() for own, count in zip(truth, counts, strict=True)]
    )
    return truth, scores, counts


def test_a_random_scorer_is_explained_by_the_count() -> None:
    truth, scores, counts = cohort(skill=0.0, more_cells=5.0)
    own = count_against_score(truth, scores, counts, PATIENTS, replicates=200)
    assert own is not None
    assert own.score.value > 0.75  # which looks like skill
    assert own.count.value == roc_auc(truth, counts)
    assert own.explained


def test_a_skilled_scorer_is_not() -> None:
    truth, scores, counts = cohort(skill=3.0, more_cells=1.0)
    own = count_against_score(truth, scores, counts, PATIENTS, replicates=200)
    assert own is not None
    assert not own.explained
    assert own.difference.low is not None
    assert own.difference.low > 0.2


def test_fewer_cells_can_pass_for_skill_too() -> None:
    truth, scores, counts = cohort(skill=0.0, more_cells=0.25)
    own = count_against_score(truth, -scores, counts, PATIENTS, replicates=200)
    assert own is not None
    assert own.fewer
    assert own.count.value > 0.9
    assert own.explained


def test_one_class_has_no_comparison() -> None:
    truth, scores, counts = cohort(1.0, 1.0)
    assert count_against_score(np.ones_like(truth), scores, counts, PATIENTS) is None


def test_tertiles_are_thirds_named_by_what_they_hold() -> None:
    counts = np.array([9, 1, 5, 2, 8, 4, 3, 7, 6])
    names = tertiles(counts, "clusters")
    assert names.tolist()[:3] == [
        "3 of 3: 7 to 9 clusters",
        "1 of 3: 1 to 3 clusters",
        "2 of 3: 4 to 6 clusters",
    ]
    assert [int((names == name).sum()) for name in sorted(set(names.tolist()))] == [3, 3, 3]


def test_slides_with_the_same_count_are_in_the_same_third() -> None:
    assert len(set(tertiles(np.full(10, 4), "tiles").tolist())) == 1
    assert len(set(tertiles(np.array([1, 1, 1, 1, 9]), "tiles").tolist())) == 2
    assert tertiles(np.array([], np.int64), "tiles").tolist() == []
