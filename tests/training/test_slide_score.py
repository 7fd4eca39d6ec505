"""The slide score that knows how many clusters there are: what a random scorer and a fixed threshold make of it."""
# pyright: basic

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from inkdot.metrics.slides.slide_score import FEWEST_SLIDES
from inkdot.storage.models.slide_score_rule import SlideScoreRule
from inkdot.training.release.slide_score import fit_slide_score

Scores = npt.NDArray[np.float32]


def benign(count: int, rng: np.random.Generator) -> Scores:
    """Slides differ in level as well as in number."""
    logits = -5.0 + 0.5 * rng.normal() + 0.8 * rng.logistic(size=count)
    return (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)


def counts(rng: np.random.Generator, slides: int, factor: float = 1.0, highest: int = 2000) -> list[int]:
    return (factor * np.exp(rng.uniform(np.log(30), np.log(highest), slides))).astype(int).tolist()


def fitted(slides: int, rng: np.random.Generator) -> SlideScoreRule:
    found, _ = fit_slide_score(
        [benign(count, rng) for count in counts(rng, slides)], np.zeros(slides), np.arange(slides).astype(str),
        "validation",
    )  # fmt: skip
    assert found is not None
    return found


def scores_of(rule: SlideScoreRule, slides: list[Scores]) -> npt.NDArray[np.float64]:
    return np.array([rule.corrected(own.max(), len(own)) for own in slides], np.float64)


@pytest.mark.parametrize("factor", [2.0, 5.0])
def test_more_tiles_on_malignant_slides_are_no_skill_of_a_random_scorer(factor: float) -> None:
    rng = np.random.default_rng(5)
    rule = fitted(200, rng)
    negative = [benign(count, rng) for count in counts(rng, 500, highest=400)]
    positive = [benign(count, rng) for count in counts(rng, 500, factor, highest=400)]
    truth = np.repeat([0, 1], [len(negative), len(positive)])
    alone = roc_auc_score(truth, [own.max() for own in (*negative, *positive)])
    corrected = roc_auc_score(truth, scores_of(rule, [*negative, *positive]))
    assert alone > 0.57
    assert corrected == pytest.approx(0.5, abs=0.04)  # standard error 0.018


def test_the_specificity_of_a_fixed_threshold_is_flat_over_the_count() -> None:
    rng = np.random.default_rng(6)
    rule = fitted(200, rng)
    slides = [benign(count, rng) for count in counts(rng, 1000)]
    third = np.digitize(
        [len(own) for own in slides], np.quantile([len(own) for own in slides], [1 / 3, 2 / 3])
    )

    def specificities(scores: npt.NDArray[np.float64]) -> list[float]:
        called = scores >= np.quantile(scores, 0.9)
        return [float(np.mean(~called[third == part])) for part in range(3)]

    alone = specificities(np.array([own.max() for own in slides], np.float64))
    corrected = specificities(scores_of(rule, slides))
    assert max(alone) - min(alone) > 0.15
    assert max(corrected) - min(corrected) < 0.07  # standard error of a difference 0.023


def test_one_clear_cluster_among_thousands_is_still_found() -> None:
    rng = np.random.default_rng(7)
    rule = fitted(60, rng)
    negative = scores_of(rule, [benign(count, rng) for count in counts(rng, 1000)])
    one = [np.append(benign(count, rng), np.float32(0.999)) for count in (50, 500, 5000)]
    assert (scores_of(rule, one) > np.quantile(negative, 0.9)).all()


def test_malignant_and_unknown_slides_take_no_part() -> None:
    rng = np.random.default_rng(8)
    clean = [benign(count, rng) for count in counts(rng, 20)]
    others = [benign(count, rng) + np.float32(0.5) for count in counts(rng, 20, 9.0)]
    truth, patients = np.repeat([0.0, 1.0, np.nan], [20, 10, 10]), np.arange(40).astype(str)
    mixed = fit_slide_score([*clean, *others], truth, patients, "out_of_fold")[0]
    assert mixed == fit_slide_score(clean, np.zeros(20), patients[:20], "out_of_fold")[0]
    assert mixed is not None
    assert (mixed.slides, mixed.patients) == (20, 20)
    assert (mixed.lowest_count, mixed.highest_count) == (min(map(len, clean)), max(map(len, clean)))


def test_with_few_benign_slides_the_score_stays_that_of_the_highest_cluster() -> None:
    rng = np.random.default_rng(9)
    few = FEWEST_SLIDES - 1
    slides = [*(benign(100, rng) for _ in range(few)), np.zeros(0, np.float32)]
    rule, note = fit_slide_score(slides, np.zeros(few + 1), np.arange(few + 1).astype(str), "validation")
    assert rule is None
    assert f"needs {FEWEST_SLIDES} benign slides in validation, found {few}" in note


@pytest.mark.parametrize("count", [1, 3, 7, 9, 49, 1000])
def test_slides_of_one_size_make_a_rule_that_changes_nothing_at_that_size(count: int) -> None:
    rng = np.random.default_rng(10)
    slides = [benign(count, rng) for _ in range(FEWEST_SLIDES)]
    rule, _ = fit_slide_score(slides, np.zeros(len(slides)), np.arange(len(slides)).astype(str), "validation")
    assert rule is not None
    assert rule.corrected(0.3, 5 * count) == pytest.approx(0.3, abs=1e-6)
