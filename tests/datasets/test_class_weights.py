"""Whose classes get equal shares of an epoch."""

import numpy as np
import pytest
from scipy import optimize, special

from inkdot.config import config_from_mapping
from inkdot.datasets.class_weights import balanced_weights, fit_temperatures
from inkdot.datasets.tile_set import TileSet


@pytest.mark.parametrize("head", ["malignancy", "morphology"])
def test_the_classes_of_balance_by_get_equal_shares(tiny_config, training_tiles, head):
    values = tiny_config.model_dump(mode="json")
    values["training"]["balance_by"] = head
    weights = balanced_weights(training_tiles, config_from_mapping(values))
    targets = np.nan_to_num(training_tiles.targets)
    malignant, small, large = (weights[targets[:, column] == 1].sum() for column in (1, 2, 3))
    if head == "malignancy":
        assert malignant == pytest.approx(1 / 2)
    else:  # small, large, and the tiles without an label
        assert (small, large, 1 - malignant) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert weights.sum() == pytest.approx(1)


def test_without_balance_by_the_flagging_head_is_balanced(tiny_config, training_tiles):
    values = tiny_config.model_dump(mode="json")
    values["training"]["balance_by"] = "malignancy"
    np.testing.assert_array_equal(
        balanced_weights(training_tiles, tiny_config),
        balanced_weights(training_tiles, config_from_mapping(values)),
    )


def noisy_tiles(benign, malignant):
    """Tiles of one patient each, and logits that are surer of the benign class than of the rare malignant one."""
    generator = np.random.default_rng(3)
    truth = np.repeat([0, 1], [benign, malignant])
    targets = np.full((len(truth), 4), np.nan, np.float32)
    targets[np.arange(len(truth)), truth] = 1
    targets[np.arange(len(truth)), 1 - truth] = 0
    logits = np.zeros((len(truth), 4), np.float32)
    logits[:, 1] = generator.normal(np.where(truth == 1, 1.0, -5.0), np.where(truth == 1, 6.0, 2.0))
    names = np.array([f"p{row:03d}" for row in range(len(truth))])
    nothing = np.zeros(len(truth), int)
    return TileSet([], nothing, nothing, targets, names, names), logits, truth


def scipys_temperature(logits, truth, weights):
    """The minimum of the weighted log loss."""

    def loss(temperature):
        own = special.log_softmax(logits[:, :2].astype(float) / temperature, axis=1)
        return -np.average(own[np.arange(len(truth)), truth], weights=weights)

    return optimize.minimize_scalar(loss, bounds=(0.3, 15), method="bounded", options={"xatol": 1e-8}).x


def test_the_temperature_weighs_classes_alike_however_rare_one_is(tiny_config):
    tiles, logits, truth = noisy_tiles(200, 20)
    balanced = scipys_temperature(logits, truth, np.where(truth == 1, 1 / 20, 1 / 200))
    unweighted = scipys_temperature(logits, truth, None)
    assert balanced > 1.3 * unweighted  # else the test could not tell
    found = fit_temperatures(logits, tiles, tiny_config)
    assert found["malignancy"] == pytest.approx(balanced, rel=1e-3)
    assert found["morphology"] == 1.0  # no tile is labelled
