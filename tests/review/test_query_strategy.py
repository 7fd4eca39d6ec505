"""Query strategy: entropy against SciPy, selection against a plain reference and against random selection."""

import numpy as np
import pytest
from scipy.stats import entropy

from inkdot.labels import DEFAULT_HEADS
from inkdot.review.active_learning.query_strategy import (
    entropy_bits,
    prior_corrected,
    score_features,
    select_queries,
    standardize,
)


def test_uncertainty_is_the_joint_entropy_of_all_heads() -> None:
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


def test_prior_correction_matches_bayes_rule() -> None:
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
    # The most uncertain regions no longer score 0.5.
    bits = entropy_bits(found, DEFAULT_HEADS)
    assert in_equal_shares[np.argsort(-bits)[:100]].min() > 0.9


@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_equal_scores_give_valid_probabilities(score: float) -> None:
    scores = {name: np.full(5, score) for name in ("p.malignancy.malignant", "p.morphology.small_cell")}
    scores |= {name: np.full(5, 1 - score) for name in ("p.malignancy.benign", "p.morphology.large_cell")}
    found = prior_corrected(scores, DEFAULT_HEADS)
    assert np.isfinite(entropy_bits(found, DEFAULT_HEADS)).all()
    assert ((found["p.malignancy.malignant"] >= 0) & (found["p.malignancy.malignant"] <= 1)).all()


def test_standardized_columns_weigh_the_same_and_missing_values_are_zero() -> None:
    features = np.array([[1.0, 100.0, 5.0], [3.0, np.nan, 5.0], [5.0, 300.0, 5.0]])
    found = standardize(features)
    assert found[:, 2] == pytest.approx([0, 0, 0])
    assert found[1, 1] == 0.0
    assert (found[:, 0] ** 2).mean() * 3 == pytest.approx(1.0)
    assert found[0, 1] == -found[2, 1]
    assert np.isfinite(score_features({"p.a.b": np.array([0.0, 0.5, 1.0])})).all()


def plain_selection(
    uncertainty: np.ndarray, features: np.ndarray, reviewed: np.ndarray, count: int
) -> list[int]:
    """The same rule, written down without shortcuts."""
    selected: list[int] = []
    for _ in range(count):
        best, best_gain = -1, -1.0
        for index in range(len(features)):
            if index in selected:
                continue
            others = [*reviewed, *(features[other] for other in selected)]
            gap = min((float(np.linalg.norm(features[index] - other)) for other in others), default=1.0)
            if uncertainty[index] * gap > best_gain:
                best, best_gain = index, uncertainty[index] * gap
        selected.append(best)
    return selected


@pytest.mark.parametrize("reviewed_count", [0, 3])
def test_each_selection_is_the_best_given_those_before(reviewed_count: int) -> None:
    rng = np.random.default_rng(1)
    features, reviewed = rng.normal(size=(40, 3)), rng.normal(size=(reviewed_count, 3))
    uncertainty = rng.uniform(0.1, 1.0, 40)
    selected, distances = select_queries(uncertainty, features, reviewed, 8)
    assert selected.tolist() == plain_selection(uncertainty, features, reviewed, 8)
    assert np.isinf(distances[0]) == (reviewed_count == 0)
    assert (distances[1:] > 0).all()


def test_duplicates_of_reviewed_regions_are_selected_last() -> None:
    features = np.array([[0.0], [0.0], [0.0], [5.0]])
    selected, distances = select_queries(np.array([0.9, 1.0, 0.8, 0.3]), features, np.empty((0, 1)), 10)
    assert selected.tolist() == [1, 3, 0, 2]
    assert distances[2:].tolist() == [0.0, 0.0]
    selected, _ = select_queries(np.array([0.9, 1.0, 0.8, 0.3]), features, np.array([[0.0]]), 1)
    assert selected.tolist() == [3]


GROUPS, IN_A_GROUP, PLAIN, SELECTED = 10, 10, 1900, 20


def constructed(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regions the model is certain of, and ten small groups that it is uncertain of: features, truth, scores."""
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


def errors_after_reviewing(reviewed: np.ndarray, seed: int) -> float:
    """Share of the groups' members in another drawing that the nearest verdict gets wrong."""
    features, truth, _ = constructed(seed)
    others, other_truth, _ = constructed(seed + 1)  # the same groups, other members
    gaps = np.linalg.norm(others[PLAIN:, None] - features[reviewed][None], axis=2)
    return float((truth[reviewed][gaps.argmin(axis=1)] != other_truth[PLAIN:]).mean())


def test_twenty_selected_verdicts_beat_twenty_random_ones() -> None:
    gained: list[float] = []
    over_most_uncertain: list[float] = []
    for seed in range(0, 30, 2):
        features, _, scores = constructed(seed)
        bits = entropy(np.stack([scores, 1 - scores]), base=2)
        ours, _ = select_queries(bits, standardize(features), np.empty((0, 6)), SELECTED)
        random = np.random.default_rng(seed).choice(len(features), SELECTED, replace=False)
        wrong = errors_after_reviewing(ours, seed)
        gained.append(errors_after_reviewing(random, seed) - wrong)
        over_most_uncertain.append(errors_after_reviewing(np.argsort(-bits)[:SELECTED], seed) - wrong)
    for differences in (gained, over_most_uncertain):
        mean = float(np.mean(differences))
        error = float(np.std(differences, ddof=1)) / np.sqrt(len(differences))
        assert mean - 2.14 * error > 0.0  # Student's t, 14 degrees of freedom, 95 %
    assert np.mean(gained) > 0.2
