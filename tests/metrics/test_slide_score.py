"""How the highest score of benign slides grows with their number of clusters."""
# pyright: basic

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from inkdot.metrics.slides.slide_score import fit_count_slope, tail_scale, top_slope

Floats = npt.NDArray[np.float64]


def counts(rng: np.random.Generator, slides: int) -> list[int]:
    return np.exp(rng.uniform(np.log(20), np.log(5000), slides)).astype(int).tolist()


def exponential_slides(scale: float, slides: int, seed: int = 0) -> list[Floats]:
    rng = np.random.default_rng(seed)
    return [-5.0 + scale * rng.exponential(size=count) for count in counts(rng, slides)]


def easy_slides(slides: int, seed: int = 0) -> list[Floats]:
    """Twenty hard clusters each; the rest is clearly benign."""
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([-4.0 + 1.5 * rng.normal(size=20), -12.0 + rng.exponential(size=count)])
        for count in counts(rng, slides)
    ]


def test_the_tail_scale_of_an_exponential_is_its_scale() -> None:
    assert tail_scale(exponential_slides(1.3, 60)) == pytest.approx(1.3, rel=0.05)


def test_the_tail_scale_is_the_mean_excess_of_the_upper_values_by_hand() -> None:
    # Of twelve values the five highest, above the sixth: 7, and 8, 9, 10, 11, 12 exceed it by 1 to 5.
    assert tail_scale([np.arange(1.0, 13.0)]) == pytest.approx(3.0)


@pytest.mark.parametrize("top", [1, 3])
def test_the_slope_and_precision_are_those_of_scipy(top: int) -> None:
    slides = exponential_slides(0.7, 25, seed=3)
    ours, precision = top_slope(slides, top)
    levels = [float(np.mean(sorted(own.tolist(), reverse=True)[:top])) for own in slides]
    theirs = stats.linregress(np.log([len(own) for own in slides]), levels)
    assert ours == pytest.approx(theirs.slope)  # pyright: ignore
    assert precision == pytest.approx(1.0 / theirs.stderr**2)  # pyright: ignore


def test_exchangeable_clusters_have_the_slope_of_their_tail() -> None:
    assert fit_count_slope(exponential_slides(0.8, 150)) == pytest.approx(0.8, abs=0.08)


def test_further_clearly_benign_clusters_cost_nothing() -> None:
    slides = easy_slides(100)
    assert tail_scale(slides) > 0.8  # the tail alone would correct for them
    assert fit_count_slope(slides) < 0.12


def test_where_all_slides_are_as_large_the_prior_decides() -> None:
    slides = [np.arange(1.0, 13.0) + shift for shift in (0.0, 0.5, 1.0)]
    assert fit_count_slope(slides) == pytest.approx(1.5)  # half of the scale of 3 by hand, above


@pytest.mark.parametrize("slides", [[], [np.arange(9.0)], [np.zeros(30), np.zeros(900)], [np.zeros(1)] * 3])
def test_nothing_is_corrected_where_nothing_can_be_learnt(slides: list[Floats]) -> None:
    assert fit_count_slope(slides) == 0.0


def test_the_slope_is_never_negative() -> None:
    falling = [
        np.concatenate([np.full(count - 3, -30.0), np.full(3, 4.0 - 2.0 * np.log(count))])
        for count in (20, 60, 200, 700)
    ]
    assert top_slope(falling)[0] == pytest.approx(-2.0)
    assert fit_count_slope(falling) == 0.0
