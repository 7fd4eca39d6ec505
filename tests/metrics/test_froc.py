"""FROC held against a plain loop over thresholds."""

import numpy as np
import pytest

from inkdot.metrics.intervals.confidence_intervals import TOO_FEW
from inkdot.metrics.slides.froc import FALSE_POSITIVES_PER_SLIDE, FrocData, froc_estimates, froc_points


def response(seed: int, lesions: int = 40, false_positives: int = 300, slides: int = 25) -> FrocData:
    """Lesions that score higher than false positives, some never found; scores with ties."""
    generator = np.random.default_rng(seed)
    found = np.round(generator.normal(0.65, 0.2, lesions).clip(0, 1), 2)
    found[generator.random(lesions) < 0.1] = -np.inf
    return FrocData(
        lesion_scores=found,
        lesion_patients=np.array([f"p{k}" for k in generator.integers(0, 12, lesions)]),
        false_positive_scores=np.round(generator.beta(1.5, 4, false_positives), 2),
        false_positive_patients=np.array([f"n{k}" for k in generator.integers(0, slides, false_positives)]),
        negative_patients=np.array([f"n{k}" for k in range(slides)]),
    )


def by_hand(found: FrocData) -> list[tuple[float, float]]:
    points = []
    values = [*found.lesion_scores.tolist(), *found.false_positive_scores.tolist()]
    for threshold in sorted({value for value in values if value > -np.inf}, reverse=True):
        false_positives = sum(score >= threshold for score in found.false_positive_scores.tolist())
        lesions = sum(score >= threshold for score in found.lesion_scores.tolist())
        points.append((false_positives / len(found.negative_patients), lesions / len(found.lesion_scores)))
    return points


def sensitivity_by_hand(found: FrocData, false_positives: float) -> float:
    return max((share for rate, share in by_hand(found) if rate <= false_positives), default=0.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_equals_a_loop_over_thresholds(seed: int) -> None:
    np.testing.assert_allclose(froc_points(response(seed)), by_hand(response(seed)))


@pytest.mark.parametrize("seed", range(5))
def test_the_froc_score_is_the_mean_sensitivity_at_the_six_rates(seed: int) -> None:
    found = response(seed)
    estimates = froc_estimates(found, replicates=50)
    expected = np.mean(
        [sensitivity_by_hand(found, false_positives) for false_positives in FALSE_POSITIVES_PER_SLIDE]
    )
    assert estimates["froc"].value == pytest.approx(expected)
    assert estimates["sensitivity@1"].value == pytest.approx(sensitivity_by_hand(found, 1.0))
    assert estimates["sensitivity@8"].value == pytest.approx(sensitivity_by_hand(found, 8.0))
    assert estimates["froc"].low <= estimates["froc"].value <= estimates["froc"].high


def test_the_interval_draws_patients_with_their_lesions_and_their_slides() -> None:
    """One patient with most lesions, all missed: the interval knows that she may be drawn twice or never."""
    found = FrocData(
        lesion_scores=np.array([0.9] * 9 + [-np.inf] * 9),
        lesion_patients=np.array([f"p{k}" for k in range(9)] + ["q"] * 9),
        false_positive_scores=np.array([0.1]),
        false_positive_patients=np.array(["n0"]),
        negative_patients=np.array(["n0", "n1", "n2"]),
    )
    estimate = froc_estimates(found)["sensitivity@1"]
    assert estimate.value == 0.5
    assert estimate.low < 0.35
    assert estimate.high > 0.9


@pytest.mark.parametrize(("positive", "negative"), [(2, 9), (9, 2)])
def test_two_patients_on_a_side_give_no_interval(positive: int, negative: int) -> None:
    found = FrocData(
        lesion_scores=np.linspace(0.3, 0.9, 30),
        lesion_patients=np.array([f"p{k % positive}" for k in range(30)]),
        false_positive_scores=np.linspace(0.1, 0.8, 30),
        false_positive_patients=np.array([f"n{k % negative}" for k in range(30)]),
        negative_patients=np.array([f"n{k}" for k in range(negative)]),
    )
    estimate = froc_estimates(found, replicates=50)["froc"]
    assert (estimate.low, estimate.high, estimate.method) == (0.0, 1.0, TOO_FEW)


def test_no_lesion_found_and_no_false_positive() -> None:
    none = np.zeros(0)
    names = np.array([], np.str_)
    missed = FrocData(np.array([-np.inf] * 4), np.array(list("abcd")), none, names, np.array(list("xyz")))
    assert froc_points(missed) == []
    assert froc_estimates(missed)["froc"].value == 0.0
    no_lesions = FrocData(none, names, np.array([0.5]), np.array(["x"]), np.array(["x"]))
    assert froc_points(no_lesions) == []
    assert froc_estimates(no_lesions) == {}
    no_negatives = FrocData(np.array([0.5]), np.array(["a"]), none, names, names)
    assert froc_estimates(no_negatives) == {}
