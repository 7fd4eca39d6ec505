"""Amendment 1: no reader of the scene may tell the classes apart without fail."""

import pytest

from inkdot.synthetic.achievable_auc import simulated_bounds


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_best_reader_stays_below_the_bound() -> None:
    for bound in simulated_bounds(500, seed=3):
        assert 0.85 < bound.selftest_best_auc <= 0.97, bound
        assert bound.selftest_diameter_auc < bound.selftest_best_auc, bound


def test_same_seed_same_metrics_and_their_names_say_selftest() -> None:
    one, other = simulated_bounds(10, seed=1), simulated_bounds(10, seed=1)
    assert one == other
    assert all("selftest" in name for name in type(one[0]).__slots__ if "auc" in name)
