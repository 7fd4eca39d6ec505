"""Distances against plain loops over pairs."""

import numpy as np
import pytest
from scipy.spatial.distance import euclidean

from inkdot.metrics.ood_distance import (
    NEIGHBOURS,
    batch_limit,
    fit_reference,
    image_limit,
    ood_distances,
    prediction_limit,
)


def embeddings(seed: int, count: int = 60, spread: float = 1.0, centre: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, spread, (count, 6))


SLIDES = np.array([f"s{index // 10}" for index in range(60)])


def test_the_distance_is_relative_to_that_of_the_neighbours_on_other_slides():
    seen, fresh = embeddings(0), embeddings(1, count=5)
    reference = fit_reference(seen, SLIDES)
    assert reference is not None
    reach = []
    for one, slide in zip(seen, SLIDES, strict=True):
        others = [euclidean(one, other) for other, its in zip(seen, SLIDES, strict=True) if its != slide]
        reach.append(sorted(others)[NEIGHBOURS - 1])
    np.testing.assert_allclose(reference.reach, reach, rtol=1e-6)
    smallest = np.quantile(reach, 0.05)
    for tile, distance in zip(fresh, ood_distances(fresh, reference), strict=True):
        order = sorted(range(60), key=lambda index, tile=tile: euclidean(tile, seen[index]))[:NEIGHBOURS]
        own = euclidean(tile, seen[order[-1]])
        expected = (own + smallest) / (np.mean([reach[index] for index in order]) + smallest)
        assert distance == pytest.approx(expected, rel=1e-6)


def test_dense_and_wide_clusters_are_in_distribution_and_the_space_between_is_not():
    packed, wide = embeddings(0, spread=0.01), embeddings(1, spread=3.0, centre=40.0)
    reference = fit_reference(np.concatenate([packed, wide]), np.concatenate([SLIDES, SLIDES]))
    assert reference is not None
    usual = [embeddings(2, spread=0.01), embeddings(3, spread=3.0, centre=40.0)]
    for own in usual:
        assert 0.8 < np.median(ood_distances(own, reference)) < 1.3
    assert np.median(ood_distances(embeddings(4, spread=0.01, centre=1.0), reference)) > 10
    assert np.median(ood_distances(embeddings(5, spread=3.0, centre=60.0), reference)) > 3


def test_equal_tiles_or_a_single_slide_give_no_reference():
    assert fit_reference(np.ones((20, 6)), np.array(["a", "b"] * 10)) is None
    assert fit_reference(embeddings(0), np.array(["a"] * 60)) is None
    assert fit_reference(embeddings(0)[:2], np.array(["a", "b"])) is None


def test_many_equal_tiles_make_no_distance_infinite():
    seen = np.concatenate([np.zeros((50, 6)), embeddings(0, count=10)])
    reference = fit_reference(seen, SLIDES)
    assert reference is not None
    assert np.isfinite(ood_distances(embeddings(1), reference)).all()


def test_one_further_slide_in_a_hundred_exceeds_the_limit():
    generator = np.random.default_rng(0)
    passed = [
        generator.lognormal(0.3, 0.2) > prediction_limit(generator.lognormal(0.3, 0.2, 6))
        for _ in range(1_000)
    ]
    assert np.mean(passed) == pytest.approx(0.01, abs=0.008)
    with pytest.raises(ValueError, match="at least two slides, found 1"):
        prediction_limit([1.0])


def test_the_limit_of_single_images_is_the_conformal_quantile():
    values = np.arange(1.0, 200.0)  # 199 images: the second highest is exceeded by 2 in 200
    assert image_limit(values, 0.01) == (198.0, 0.01)
    few = image_limit([1.0, 3.0, 2.0], 0.01)  # the highest of three is exceeded by one in four
    assert few == (3.0, 0.25)
    with pytest.raises(ValueError, match="at least one image"):
        image_limit([])


def test_the_false_alarm_rate_is_kept_for_any_distribution():
    draw = np.random.default_rng(3)
    exceeded = [
        np.mean(draw.standard_t(2, 50) > image_limit(draw.standard_t(2, 120), 0.05).limit)
        for _ in range(1500)
    ]
    # The sixth highest of 120 is exceeded by 6 of 121 in the mean, whatever the distribution.
    assert np.mean(exceeded) == pytest.approx(6 / 121, abs=0.005)


def test_a_batch_is_judged_by_whole_groups():
    draw = np.random.default_rng(4)
    groups = np.repeat([f"g{index}" for index in range(40)], 5)
    alone = draw.normal(1.0, 0.3, 200)
    together = np.repeat(draw.normal(1.0, 0.3, 40), 5)
    limits = [batch_limit(values, groups, 20) for values in (alone, together)]
    assert (
        1.0 < limits[0] < limits[1] < together.max()
    )  # images of a group resemble each other: fewer tell less
    assert limits[0] == batch_limit(alone, groups, 20)
    assert batch_limit(alone, groups, 1) > limits[0]
