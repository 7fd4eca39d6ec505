import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkdot.metrics.agreement import (
    OVER_REGIONS,
    OVER_SLIDES,
    PERFECT,
    TOO_FEW,
    cohen_estimate,
    cohen_kappa,
    fleiss_estimate,
    fleiss_kappa,
    observed_agreement,
)

FLEISS_EXAMPLE = np.asarray(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)


def test_fleiss_kappa_of_a_worked_example_of_fourteen_readers():
    assert observed_agreement(FLEISS_EXAMPLE) == pytest.approx(0.378, abs=5e-4)
    assert fleiss_kappa(FLEISS_EXAMPLE) == pytest.approx(0.210, abs=5e-4)


def slow_fleiss(labels: list[list[int]], categories: int) -> float:
    """By definition: share of agreeing pairs of readers, against pairs drawn from all labels."""
    read_twice = [row for row in labels if len(row) > 1]
    if not read_twice:
        return math.nan
    shares = [np.mean([a == b for a, b in combinations(row, 2)]) for row in read_twice]
    pooled = [label for row in read_twice for label in row]
    chance = sum((pooled.count(k) / len(pooled)) ** 2 for k in range(categories))
    return math.nan if chance == 1 else (float(np.mean(shares)) - chance) / (1 - chance)


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.lists(st.integers(0, 2), max_size=5), min_size=1, max_size=12))
def test_fleiss_kappa_equals_its_definition_with_any_number_of_readers(labels):
    counts = np.asarray([[row.count(k) for k in range(3)] for row in labels])
    assert fleiss_kappa(counts) == pytest.approx(slow_fleiss(labels, 3), abs=1e-9, nan_ok=True)


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_a_weight_of_n_is_a_region_given_n_times(pairs):
    first, second = (np.asarray(column) for column in zip(*pairs, strict=True))
    weights = np.arange(len(pairs), dtype=float) % 3
    often = np.repeat(np.arange(len(pairs)), weights.astype(int))
    assert cohen_kappa(first, second, 4, weights) == pytest.approx(
        cohen_kappa(first[often], second[often], 4), abs=1e-9, nan_ok=True
    )
    counts = np.eye(4, dtype=int)[first] + np.eye(4, dtype=int)[second]
    assert fleiss_kappa(counts, weights) == pytest.approx(fleiss_kappa(counts[often]), abs=1e-9, nan_ok=True)


def test_one_label_throughout_is_undefined_rather_than_perfect():
    same = np.zeros(5, dtype=int)
    assert math.isnan(cohen_kappa(same, same, 2))
    assert math.isnan(fleiss_kappa(np.asarray([[2, 0]] * 5)))
    assert cohen_estimate(same, same, 2, np.asarray(["a"] * 5)) is None


def test_the_interval_covers_the_truth_at_its_nominal_rate():
    """Two readers, each a noisy copy of a hidden truth: kappa of the population is known."""
    generator = np.random.default_rng(5)

    def draw(regions: int) -> tuple[np.ndarray, np.ndarray]:
        truth = generator.integers(2, size=regions)
        return tuple(np.where(generator.random(regions) < 0.9, truth, 1 - truth) for _ in range(2))

    true_kappa = (0.9**2 + 0.1**2 - 0.5) / 0.5
    covered = 0
    for _ in range(60):
        first, second = draw(120)
        slides = np.asarray([str(index) for index in range(120)])
        estimate = cohen_estimate(first, second, 2, slides, replicates=200)
        assert estimate is not None
        covered += estimate.low <= true_kappa <= estimate.high
    assert 50 <= covered <= 60


def test_regions_of_one_slide_are_drawn_together():
    generator = np.random.default_rng(1)
    agree = np.repeat(generator.random(12) < 0.6, 20)  # whole slides agree or do not
    first = generator.integers(2, size=240)
    second = np.where(agree, first, 1 - first)
    slides = np.repeat([f"s{index}" for index in range(12)], 20)
    together = cohen_estimate(first, second, 2, slides)
    apart = cohen_estimate(first, second, 2, np.asarray([str(index) for index in range(240)]))
    assert together is not None
    assert apart is not None
    assert together.method == OVER_SLIDES
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_few_regions_or_slides_give_a_wider_interval_or_none():
    labels, other = np.asarray([0, 1, 0, 1]), np.asarray([0, 1, 1, 1])
    few = cohen_estimate(labels, other, 2, np.asarray(["a", "a", "b", "b"]))
    assert few is not None
    assert few.method == OVER_REGIONS
    pair = cohen_estimate(labels[:2], 1 - other[:2], 2, np.asarray(["a", "b"]))
    assert pair is not None
    assert (pair.low, pair.high, pair.method) == (-1.0, 1.0, TOO_FEW)
    full = fleiss_estimate(np.asarray([[2, 0], [0, 2], [2, 0], [0, 2]]), np.asarray(["a", "b", "c", "d"]))
    assert full is not None
    assert (full.value, full.high, full.method) == (1.0, 1.0, PERFECT)
    assert full.low < 0.2  # four slides prove little
