"""Whose classes get equal shares of an epoch."""

import numpy as np
import pytest

from inkdot.config import config_from_mapping
from inkdot.datasets.class_weights import balanced_weights


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
