"""What to ask about next: entropy against SciPy, the choice against a plain reference, and against asking at random."""

import numpy as np
import pytest
from scipy.stats import entropy

from inkdot.labels import DEFAULT_HEADS
from inkdot.review.active_learning.query_strategy import (
    entropy_bits,
    prior_corrected,
    query,
    score_features,
    standardised,
)


def test_uncertainty_is_the_entropy_of_all_verdicts_together() -> None:
    rng = np.random.default_rng(0)
    malignant, small = rng.uniform(0, 1, 50), rng.uniform(0, 1, 50)
    malignant[:2] = 0.0, 1.0
    scores = {
        "p.malignancy.malignant": malignant,
        "p.malignancy.benign": 1 - malignant,
        "p.morphology.small_cell": small,
        "p.morphology.large_cell": 1 - small,
    }
    joint = np.stack([1 - malignant, malignant * small, malignant * (1 - small)])
    assert entropy_bits(scores, DEFAULT_HEADS) == pytest.approx(entropy(joint, base=2), abs=1e-9)


def test_scores_are_taken_as_they_are_where_classes_are_as_rare_as_here() -> None:
    """Regions drawn from two normal distributions, one in fifty malignant; the reference is Bayes' rule with that share."""
    rng = np.random.default_rng(0)
    malignant = np.arange(20_000) < 400
    value = rng.normal(np.where(malignant, 1.0, -1.0), 1.0)
    in_equal_shares = 1.0 / (
        1.0 + np.exp(-2.0 * value)
    )  # the likelihood ratio of N(1, 1) to N(-1, 1) is exp(2 x)
    expected = 1.0 / (1.0 + np.exp(-2.0 * value) * 49.0)
    small = rng.uniform(size=len(value))
    scores = {
        "p.malignancy.malignant": in_equal_shares,
        "p.malignancy.benign": 1 - in_equal_shares,
        "p.morphology.small_cell": small,
        "p.morphology.large_cell": 1 - small,
    }
    found = prior_corrected(scores, DEFAULT_HEADS)
    assert np.abs(found["p.malignancy.malignant"] - expected).max() < 0.05
    assert found["p.malignancy.malignant"] + found["p.malignancy.benign"] == pytest.approx(1.0)
    assert found["p.morphology.small_cell"] is small
    # What is open is no longer what scores a half.
    bits = entropy_bits(found, DEFAULT_HEADS)
    assert in_equal_shares[np.argsort(-bits)[:100]].min() > 0.9


@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_regions_that_all_score_alike_stay_in_order(score: float) -> None:
    scores = {name: np.full(5, score) for name in ("p.malignancy.malignant", "p.morphology.small_cell")}
    scores |= {name: np.full(5, 1 - score) for name in ("p.malignancy.benign", "p.morphology.large_cell")}
    found = prior_corrected(scores, DEFAULT_HEADS)
    assert np.isfinite(entropy_bits(found, DEFAULT_HEADS)).all()
    assert ((found["p.malignancy.malignant"] >= 0) & (found["p.malignancy.malignant"] <= 1)).all()


def test_columns_count_alike_and_what_is_missing_pulls_nowhere() -> None:
    features = np.array([[1.0, 100.0, 5.0], [3.0, np.nan, 5.0], [5.0, 300.0, 5.0]])
    found = standardised(features)
    assert found[:, 2] == pytest.approx([0, 0, 0])
    assert found[1, 1] == 0.0
    assert (found[:, 0] ** 2).mean() * 3 == pytest.approx(1.0)
    assert found[0, 1] == -found[2, 1]
    assert np.isfinite(score_features({"p.a.b": np.array([0.0, 0.5, 1.0])})).all()


def plain_choice(uncertainty: np.ndarray, features: np.ndarray, asked: np.ndarray, count: int) -> list[int]:
    """The same rule, written down without shortcuts."""
    chosen: list[int] = []
    for _ in range(count):
        best, best_gain = -1, -1.0
        for index in range(len(features)):
            if index in chosen:
                continue
            others = [*asked, *(features[other] for other in chosen)]
            gap = min((float(np.linalg.norm(features[index] - other)) for other in others), default=1.0)
            if uncertainty[index] * gap > best_gain:
                best, best_gain = index, uncertainty[index] * gap
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("asked_count", [0, 3])
def test_each_choice_is_the_best_given_those_before(asked_count: int) -> None:
    rng = np.random.default_rng(1)
    features, asked = rng.normal(size=(40, 3)), rng.normal(size=(asked_count, 3))
    uncertainty = rng.uniform(0.1, 1.0, 40)
    chosen, distances = query(uncertainty, features, asked, 8)
    assert chosen.tolist() == plain_choice(uncertainty, features, asked, 8)
    assert np.isinf(distances[0]) == (asked_count == 0)
    assert (distances[1:] > 0).all()


def test_what_looks_like_something_known_is_asked_last() -> None:
    features = np.array([[0.0], [0.0], [0.0], [5.0]])
    chosen, distances = query(np.array([0.9, 1.0, 0.8, 0.3]), features, np.empty((0, 1)), 10)
    assert chosen.tolist() == [1, 3, 0, 2]
    assert distances[2:].tolist() == [0.0, 0.0]
    chosen, _ = query(np.array([0.9, 1.0, 0.8, 0.3]), features, np.array([[0.0]]), 1)
    assert chosen.tolist() == [3]


GROUPS, IN_A_GROUP, PLAIN, ASKED = 10, 10, 1900, 20


def constructed(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regions the model is sure of, and ten small groups that it is not: features, truth, scores."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(seed // 2).normal(size=(GROUPS, 6)) * 4.0
    features = np.concatenate(
        [
            rng.normal(size=(PLAIN, 6)),
            np.repeat(centres, IN_A_GROUP, axis=0) + rng.normal(size=(100, 6)) * 0.3,
        ]
    )
    truth = np.concatenate([np.zeros(PLAIN, int), np.repeat(np.arange(GROUPS) % 2, IN_A_GROUP)])
    scores = np.concatenate([rng.uniform(0.001, 0.05, PLAIN), rng.uniform(0.3, 0.7, GROUPS * IN_A_GROUP)])
    return features, truth, scores


def errors_after_asking(asked: np.ndarray, seed: int) -> float:
    """Share of the groups' members in another drawing that the nearest verdict gets wrong."""
    features, truth, _ = constructed(seed)
    others, other_truth, _ = constructed(seed + 1)  # the same groups, other members
    gaps = np.linalg.norm(others[PLAIN:, None] - features[asked][None], axis=2)
    return float((truth[asked][gaps.argmin(axis=1)] != other_truth[PLAIN:]).mean())


def test_twenty_verdicts_teach_more_than_twenty_at_random() -> None:
    gained: list[float] = []
    over_sure: list[float] = []
    for seed in range(0, 30, 2):
        features, _, scores = constructed(seed)
        bits = entropy(np.stack([scores, 1 - scores]), base=2)
        ours, _ = query(bits, standardised(features), np.empty((0, 6)), ASKED)
        random = np.random.default_rng(seed).choice(len(features), ASKED, replace=False)
        wrong = errors_after_asking(ours, seed)
        gained.append(errors_after_asking(random, seed) - wrong)
        over_sure.append(errors_after_asking(np.argsort(-bits)[:ASKED], seed) - wrong)
    for differences in (gained, over_sure):
        mean = float(np.mean(differences))
        error = float(np.std(differences, ddof=1)) / np.sqrt(len(differences))
        assert mean - 2.14 * error > 0.0  # Student's t, 14 degrees of freedom, 95 %
    assert np.mean(gained) > 0.2
