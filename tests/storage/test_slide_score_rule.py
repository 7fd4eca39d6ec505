"""The score of a slide from that of its highest cluster and their number."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from inkdot.storage.models.slide_score_rule import SlideScoreRule, logits


def rule(**values: object) -> SlideScoreRule:
    defaults = {
        "slope": 0.5, "reference_count": 100.0, "lowest_count": 20, "highest_count": 2000, "fitted_on": "validation",
        "slides": 20, "patients": 15,
    }  # fmt: skip
    return SlideScoreRule.model_validate(defaults | values)


def logit(score: float) -> float:
    return math.log(score / (1.0 - score))


def test_the_score_is_unchanged_at_the_reference() -> None:
    assert rule().corrected([0.2, 0.9], 100).tolist() == pytest.approx([0.2, 0.9], abs=1e-7)


@pytest.mark.parametrize(("count", "shift"), [(400, math.log(4)), (25, -math.log(4))])
def test_the_logit_is_lowered_by_the_slope_times_the_log_of_the_ratio(count: int, shift: float) -> None:
    assert logit(float(rule().corrected(0.9, count))) == pytest.approx(logit(0.9) - 0.5 * shift, abs=1e-5)


@pytest.mark.parametrize(("count", "as_if"), [(1, 20), (19, 20), (2001, 2000), (10**6, 2000)])
def test_counts_beyond_those_it_was_fitted_on_count_as_the_nearest(count: int, as_if: int) -> None:
    assert rule().corrected(0.7, count) == rule().corrected(0.7, as_if)
    assert rule().threshold_at(0.7, count) == rule().threshold_at(0.7, as_if)


@pytest.mark.parametrize("count", [20, 77, 100, 650, 2000])
def test_a_cluster_at_the_threshold_for_its_slide_makes_the_locked_one(count: int) -> None:
    own = rule().threshold_at(0.63, count)
    assert (own > 0.63) == (count > 100)
    assert float(rule().corrected(own, count)) == pytest.approx(0.63, abs=1e-6)


def test_the_order_of_scores_stays_up_to_the_ends() -> None:
    scores = np.concatenate(
        [[0.0, 1e-30], np.geomspace(1e-12, 0.5, 200), 1.0 - np.geomspace(0.4, 1e-6, 200), [1.0]]
    )
    changed = rule().corrected(scores, 2000)
    assert (np.diff(changed) > 0).all()
    assert changed.min() >= 0.0
    assert changed.max() <= 1.0


def test_a_missing_score_stays_missing() -> None:
    assert np.isnan(rule().corrected([np.nan], 300)).all()


def test_logits_are_finite_where_float32_has_rounded() -> None:
    assert np.isfinite(logits(np.array([0.0, 1.0], np.float32))).all()


@pytest.mark.parametrize(
    "values", [{"slope": -0.1}, {"reference_count": 10.0}, {"highest_count": 50}, {"slides": 0}]
)
def test_impossible_rules_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        rule(**values)
