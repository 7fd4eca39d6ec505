"""What scores were worth, against counting by hand."""

import numpy as np
import pytest

from inkdot.metrics.reliability import STEPS, reliability_steps


def test_shares_equal_plain_counting_and_edges_belong_to_the_upper_range() -> None:
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.random(400), STEPS]).astype(np.float64)
    truth = rng.random(len(scores)) < scores
    patients = np.array([f"p{i % 12}" for i in range(len(scores))])
    steps = reliability_steps(truth, scores, patients)
    assert sum(step.regions for step in steps) == len(scores)
    for step in steps:
        own = [
            bool(hit)
            for score, hit in zip(scores, truth, strict=True)
            if step.low <= score and (score < step.high or step.high == 1.0)
        ]
        assert step.regions == len(own)
        assert step.positive.value == pytest.approx(sum(own) / len(own))
        assert step.positive.low <= step.positive.value <= step.positive.high


def test_ranges_without_a_region_are_left_out() -> None:
    (step,) = reliability_steps(np.array([True]), [0.5], np.array(["p"]))
    assert (step.low, step.high, step.regions) == (0.4, 0.6, 1)
    assert step.positive.low < 0.1  # one region of one patient is next to no evidence
