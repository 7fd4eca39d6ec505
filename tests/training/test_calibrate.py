"""The operating point on scores given by hand, counted on slides."""

import numpy as np
import pytest

from inkdot.datasets.tile_set import TileSet
from inkdot.labels import flag_column
from inkdot.training.release.calibrate import best_tiles, lock

NAN = np.nan


def tile_set(rows):
    """Rows of (slide, patient, target of malignant)."""
    slides, patients, malignant = zip(*rows, strict=True)
    targets = np.full((len(rows), 4), NAN, np.float32)
    targets[:, 1] = malignant
    targets[:, 0] = 1 - targets[:, 1]
    nothing = np.zeros(len(rows), int)
    return TileSet([], nothing, nothing, targets, np.array(patients), np.array(slides))


def locked(rows, scores, config):
    malignant = np.array(scores, np.float32)
    table = np.stack([1 - malignant, malignant, malignant, malignant], axis=1)
    tiles = tile_set(rows)
    slides = best_tiles(table, tiles, flag_column(config.head_records))
    return lock(slides, table, tiles, config).operating_points["malignancy"]


def test_every_positive_slide_is_flagged_by_a_truly_positive_tile(tiny_config):
    rows = [
        ("a", "p1", 1), ("a", "p1", 1), ("a", "p1", 0),
        ("b", "p2", 1), ("b", "p2", 0),
        ("c", "p3", 0), ("c", "p3", 0),
        ("d", "p4", 0),
        ("e", "p5", NAN),
    ]  # fmt: skip
    # The benign tiles of a and b score higher than their malignant ones: they must not stand in for them.
    point = locked(rows, [0.2, 0.8, 0.95, 0.6, 0.9, 0.7, 0.1, 0.5, 0.99], tiny_config)
    assert point.threshold == pytest.approx(0.6, abs=1.01e-4)
    assert point.evaluated_on == "slides"
    assert point.sensitivity.value == 1.0
    assert point.specificity.value == 0.5  # c has a tile at 0.7, d has none above 0.5


def test_of_twenty_slides_one_may_be_missed(tiny_config):
    rows = [(f"s{i:02d}", f"p{i:02d}", 1) for i in range(20)] + [("n", "q", 0)]
    point = locked(rows, [*(0.01 * (i + 1) for i in range(20)), 0.005], tiny_config)
    assert point.threshold == pytest.approx(0.02, abs=1.01e-4)
    assert point.sensitivity.value == 0.95
    assert point.specificity.value == 1.0


def test_half_targets_are_neither_side(tiny_config):
    point = locked([("a", "p", 0.5), ("b", "q", 1), ("c", "r", 0)], [0.99, 0.4, 0.3], tiny_config)
    assert point.threshold == pytest.approx(0.4, abs=1.01e-4)
    assert point.specificity.value == 1.0


def test_the_threshold_is_rounded_down_so_that_another_runtime_flags_the_same_slides(tiny_config):
    point = locked([("a", "p", 1), ("b", "q", 0)], [0.123456, 0.1], tiny_config)
    assert point.threshold == 0.1234
