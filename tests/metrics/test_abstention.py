"""Risk and coverage held against a plain loop."""

import math

import numpy as np
import pytest
from scipy import stats

from inkdot.metrics.decision.abstention import (
    aurc,
    band_for_selective_risk,
    calls_needed,
    confidence,
    guaranteed_band,
    risk_coverage,
    score_for_selective_risk,
)


def rows(seed: int, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties whose errors gather round the middle."""
    generator = np.random.default_rng(seed)
    scores = np.round(generator.random(n), 2)
    return generator.random(n) < scores, scores


def by_hand(truth: np.ndarray, scores: np.ndarray, threshold: float) -> list[tuple[float, float]]:
    def distance(score: float) -> float:
        return (
            (score - threshold) / (1 - threshold) if score >= threshold else (threshold - score) / threshold
        )

    points = []
    for least in sorted({distance(score) for score in scores.tolist()}, reverse=True):
        given = [k for k, score in enumerate(scores.tolist()) if distance(score) >= least]
        wrong = sum((scores[k] >= threshold) != truth[k] for k in given)
        points.append((len(given) / len(scores), wrong / len(given)))
    return points


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.5, 0.12, 0.9])
def test_the_curve_equals_a_plain_loop(seed: int, threshold: float) -> None:
    truth, scores = rows(seed)
    np.testing.assert_allclose(
        risk_coverage(truth, scores, threshold), by_hand(truth, scores, threshold), atol=1e-12
    )


def test_the_last_point_is_the_plain_error() -> None:
    truth, scores = rows(0)
    coverage, risk = risk_coverage(truth, scores, 0.4)[-1]
    assert coverage == 1.0
    assert risk == pytest.approx(np.mean((scores >= 0.4) != truth))


def test_a_weight_of_n_is_a_row_given_n_times() -> None:
    truth, scores = rows(1, 30)
    times = np.random.default_rng(0).integers(0, 4, 30)
    repeated = risk_coverage(np.repeat(truth, times), np.repeat(scores, times), 0.5)
    np.testing.assert_allclose(risk_coverage(truth, scores, 0.5, times), repeated)


def test_the_area_is_smaller_where_the_wrong_calls_have_low_confidence() -> None:
    scores = np.array([0.01, 0.02, 0.4, 0.6, 0.98, 0.99])
    known = np.array([False, False, True, False, True, True])  # wrong in the middle
    turned = np.array([True, False, False, True, True, False])  # wrong at the ends
    assert aurc(known, scores, 0.5) < aurc(turned, scores, 0.5)
    assert aurc(known, scores, 0.5) == pytest.approx(np.mean([0, 0, 0, 0, 2 / 6, 2 / 6]), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_no_narrower_band_keeps_the_target_risk(seed: int) -> None:
    truth, scores = rows(seed)
    band = band_for_selective_risk(truth, scores, 0.4, 0.1)
    outside = (scores <= band.low + 1e-9) | (scores >= band.high - 1e-9)
    assert outside.mean() == pytest.approx(band.coverage)
    assert np.mean(((scores >= 0.4) != truth)[outside]) == pytest.approx(band.error)
    assert band.error <= 0.1
    later = [risk for coverage, risk in risk_coverage(truth, scores, 0.4) if coverage > band.coverage]
    assert all(risk > 0.1 for risk in later)


def test_where_no_band_suffices_the_model_always_abstains() -> None:
    band = band_for_selective_risk(np.array([False, True]), np.array([1.0, 0.0]), 0.5, 0.2)
    assert (band.low, band.high, band.coverage) == (-math.inf, math.inf, 0.0)


def test_confidence_is_0_at_the_threshold_and_1_at_either_end() -> None:
    np.testing.assert_allclose(confidence([0.0, 0.1, 0.2, 0.6, 1.0], 0.2), [1.0, 0.5, 0.0, 0.5, 1.0])
    assert risk_coverage(np.zeros(0, bool), np.zeros(0), 0.5) == []
    assert math.isnan(aurc(np.zeros(0, bool), np.zeros(0), 0.5))


def test_the_ends_of_the_band_are_as_far_from_the_threshold_as_the_last_call() -> None:
    truth = np.array([False, False, True, False, True, True])
    scores = np.array(
        [0.04, 0.1, 0.19, 0.4, 0.6, 0.9]
    )  # threshold 0.2: of confidence 0.8, 0.5, 0.05, 0.25, 0.5, 0.875
    band = band_for_selective_risk(truth, scores, 0.2, 0.0)
    assert (band.low, band.high) == (pytest.approx(0.1), pytest.approx(0.6))
    assert (band.error, band.coverage) == (0.0, pytest.approx(4 / 6))
    allowed = band_for_selective_risk(truth, scores, 0.2, 0.2)  # exactly one of five wrong
    assert (allowed.high, allowed.error) == (pytest.approx(0.4), pytest.approx(0.2))


def guaranteed_by_hand(
    truth: np.ndarray, scores: np.ndarray, threshold: float, risk: float, level: float
) -> tuple[int, int] | None:
    """Flagged rows and wrong calls of the lowest upper end before the first test of a fixed sequence that fails."""
    below, missed = int((scores < threshold).sum()), int((truth & (scores < threshold)).sum())
    last = None
    ends = [math.inf, *sorted(set(scores[scores >= threshold].tolist()), reverse=True)]
    for end in ends:
        flagged = int((scores >= end).sum())
        wrong = missed + int((~truth & (scores >= end)).sum())
        calls = below + flagged
        if calls < calls_needed(risk, level):
            continue
        if wrong + 1 >= calls or stats.binom.cdf(wrong + 1, calls, risk) > 1 - level:
            break
        last = flagged, wrong
    return last


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_guaranteed_band_equals_a_plain_loop(seed: int, level: float) -> None:
    generator = np.random.default_rng(seed)
    truth = np.arange(300) < 100
    scores = np.round(np.clip(generator.normal(np.where(truth, 0.75, 0.25), 0.17), 0, 1), 2)
    threshold = float(np.sort(scores[truth])[4]) - 0.005  # between two scores
    expected = guaranteed_by_hand(truth, scores, threshold, 0.1, level)
    band = guaranteed_band(truth, scores, threshold, 0.1, level)
    assert (band is None) == (expected is None)
    if band is not None and expected is not None:
        flagged, wrong = expected
        calls = int((scores < threshold).sum()) + flagged
        assert band.low == threshold
        assert int((scores >= band.high).sum()) == flagged
        assert band.error == pytest.approx(wrong / calls)
        assert band.coverage == pytest.approx(calls / 300)


def test_the_lowest_score_of_a_label_keeps_equal_scores_together() -> None:
    right = np.array([True, True, False, True, True])
    scores = np.array([0.9, 0.8, 0.7, 0.7, 0.6])
    assert score_for_selective_risk(right, scores, 0.0) == 0.8
    assert score_for_selective_risk(right, scores, 0.2) == 0.6  # one of five
    assert score_for_selective_risk(right, scores, 0.19) == 0.8
    assert score_for_selective_risk(right[2:3], scores[2:3], 0.5) is None
    assert score_for_selective_risk(right[:0], scores[:0], 0.5) is None


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_a_threshold_at_an_end_divides_by_nothing(threshold: float) -> None:
    own = confidence([0.0, 0.5, 1.0], threshold)
    assert own.tolist() == ([0.0, 0.5, 1.0] if threshold == 0.0 else [1.0, 0.5, 0.0])
