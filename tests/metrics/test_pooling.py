"""From tiles to clusters, against metrics worked out by hand."""

import numpy as np
import pytest

from inkdot.labels import DEFAULT_HEADS, flag_column, flagging_head
from inkdot.metrics.decision.calls import conditional_heads, head_call
from inkdot.metrics.slides.pooling import pooled

# benign, malignant | small_cell, large_cell
SCORES = np.array([[0.8, 0.2, 0.9, 0.1], [0.1, 0.9, 0.3, 0.7], [0.5, 0.5, 0.5, 0.5]], np.float32)
ROWS = [np.array([0, 1]), np.array([2]), np.array([], np.int64)]


def test_max_takes_all_scores_from_the_tile_with_the_highest_flag_score() -> None:
    found = pooled(SCORES, ROWS, DEFAULT_HEADS, "max")
    assert found[0] == pytest.approx([0.1, 0.9, 0.3, 0.7])
    assert found[1] == pytest.approx([0.5, 0.5, 0.5, 0.5])
    assert np.isnan(found[2]).all()


def test_mean_averages_logits_and_each_head_sums_to_one() -> None:
    found = pooled(SCORES, ROWS, DEFAULT_HEADS, "mean")
    # Odds multiply, and the mean of two logits is their geometric mean: sqrt(0.2/0.8 * 0.9/0.1) = 1.5.
    assert found[0, 1] / found[0, 0] == pytest.approx(1.5, rel=1e-5)
    # sqrt(0.1/0.9 * 0.7/0.3) = 0.50918
    assert found[0, 3] / found[0, 2] == pytest.approx(0.50918, rel=1e-4)
    assert found[0, :2].sum() == pytest.approx(1.0)
    assert found[0, 2:].sum() == pytest.approx(1.0)
    assert np.isnan(found[2]).all()


def test_a_score_of_exactly_nought_or_one_stays_finite() -> None:
    found = pooled(np.array([[0.0, 1.0, 1.0, 0.0]]), [np.array([0])], DEFAULT_HEADS, "mean")
    assert found[0] == pytest.approx([0.0, 1.0, 1.0, 0.0], abs=1e-6)


def test_the_flag_column_is_that_of_the_flag_class() -> None:
    assert flag_column(DEFAULT_HEADS) == 1
    assert flag_column(DEFAULT_HEADS[::-1]) == 3


def test_morphology_is_called_only_at_a_high_enough_score() -> None:
    (morphology,) = conditional_heads(DEFAULT_HEADS, flagging_head(DEFAULT_HEADS))
    assert head_call(morphology, [0.75, 0.25]) == "small-cell-like"
    assert head_call(morphology, [0.26, 0.74]) == "indeterminate"
    assert head_call(morphology, [0.1, 0.9]) == "large-cell-like"
