"""The linear probe against scikit-learn's logistic regression, and what it must leave alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from inkdot.config import config_from_mapping
from inkdot.datasets.class_weights import balanced_weights
from inkdot.datasets.tile_set import TileSet
from inkdot.metrics.calibration import softmax
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.training.frozen import linear_probe
from inkdot.training.frozen.head_network import HeadNetwork
from inkdot.training.frozen.linear_probe import fit_linear_probe

WIDTH, PATIENTS, EACH = 6, 24, 10
UNKNOWN = float("nan")


@pytest.fixture
def config():
    return config_from_mapping(
        {
            "heads": [
                {"name": "malignancy", "classes": ["benign", "malignant"], "flag_class": "malignant"},
                {
                    "name": "lineage",
                    "classes": ["a", "b", "c"],
                    "labels": {name: {name: 1.0} for name in "abc"},
                },
            ],
            "tiling": {"side_px": 32, "mpp": 0.5, "stride_px": 32},
            "model": {"backbone": "test_efficientnet"},
        }
    )


def embedded(seed=0):
    """Overlapping classes in features of very different scales, one of which is constant; a third has no lineage."""
    generator = np.random.default_rng(seed)
    rows = PATIENTS * EACH
    patients = np.repeat([f"p{number:02d}" for number in range(PATIENTS)], EACH)
    malignant = (np.arange(rows) // EACH) % 3 == 0
    lineage = generator.integers(3, size=rows)
    features = generator.normal(size=(rows, WIDTH))
    features[:, 0] += 1.2 * malignant
    features[:, 1] += 0.8 * lineage
    features = features * [1, 1, 30, 0.01, 1, 0] + [0, 5, 200, 0, 0, 3]
    targets = np.zeros((rows, 5), np.float32)
    targets[np.arange(rows), malignant.astype(int)] = 1
    targets[np.arange(rows), 2 + lineage] = 1
    targets[::3, 2:] = UNKNOWN
    return TileSet(
        arrays=[features.astype(np.float32)],
        array_of_row=np.zeros(rows, np.int64),
        index_in_array=np.arange(rows),
        targets=targets,
        patients=patients,
        slides=patients,
    )


def head_network(config):
    torch.manual_seed(0)
    whole = TileNetwork(NetworkSpec("test_efficientnet", 0.2, config.head_records, 32))
    network = HeadNetwork(whole)
    for head in config.head_records:
        network.heads[head.name] = torch.nn.Linear(WIDTH, len(head.classes))
    return network


def probabilities(network, tiles, head):
    features = torch.from_numpy(tiles.arrays[0])
    with torch.inference_mode():
        return softmax(network.heads[head](features).double().numpy())


@pytest.mark.parametrize("penalty", [1.0, 0.03])
def test_probabilities_are_those_of_scikit_learn(config, monkeypatch, penalty):
    monkeypatch.setattr(linear_probe, "PENALTIES", (penalty,))
    tiles, network = embedded(), head_network(config)
    fit_linear_probe(network, tiles, config)
    weights = balanced_weights(tiles, config)
    for head, columns in (("malignancy", slice(0, 2)), ("lineage", slice(2, 5))):
        known = ~np.isnan(tiles.targets[:, columns]).any(axis=1)
        own = weights[known] / weights[known].sum()
        scaled = StandardScaler().fit(tiles.arrays[0][known])
        # The sum of the weights is 1, so scikit-learn's C is the inverse of the penalty. A softmax of two classes has two rows
        # of weights of opposite sign: their penalty is half of that of scikit-learn's one row of twice the size.
        strength = 1 / penalty if head == "lineage" else 2 / penalty
        reference = LogisticRegression(C=strength, tol=1e-8, max_iter=5000)
        truth = tiles.targets[known, columns].argmax(axis=1)
        reference.fit(scaled.transform(tiles.arrays[0][known]), truth, sample_weight=own)
        expected = reference.predict_proba(scaled.transform(tiles.arrays[0]))
        assert probabilities(network, tiles, head) == pytest.approx(expected, abs=2e-4)


def test_soft_targets_are_those_of_rows_repeated_by_weight(config, monkeypatch):
    monkeypatch.setattr(linear_probe, "PENALTIES", (0.1,))
    tiles = embedded()
    monkeypatch.setattr(linear_probe, "balanced_weights", lambda tiles, _: np.ones(len(tiles)) / len(tiles))
    soft = tiles.targets.copy()
    soft[:, :2] = [0.75, 0.25]
    soft[::2, :2] = [0.25, 0.75]
    hard = np.tile(tiles.targets, (4, 1))
    hard[:, :2] = [1, 0]
    for copy in range(4):
        rows = hard[copy * len(tiles) : (copy + 1) * len(tiles)]
        rows[:, :2] = [0, 1] if copy == 0 else [1, 0]
        rows[::2, :2] = [1, 0] if copy == 0 else [0, 1]
    repeated = replace(
        tiles,
        array_of_row=np.tile(tiles.array_of_row, 4),
        index_in_array=np.tile(tiles.index_in_array, 4),
        targets=hard,
        patients=np.tile(tiles.patients, 4),
        slides=np.tile(tiles.slides, 4),
    )
    a, b = head_network(config), head_network(config)
    fit_linear_probe(a, replace(tiles, targets=soft), config)
    fit_linear_probe(b, repeated, config)
    assert probabilities(a, tiles, "malignancy") == pytest.approx(
        probabilities(b, tiles, "malignancy"), abs=2e-4
    )


def test_the_penalty_is_chosen_on_patients_that_were_held_out(config):
    # Every patient has a feature of its own: it separates the rows of training patients, and says nothing about others.
    tiles = embedded()
    names = np.unique(tiles.patients, return_inverse=True)[1]
    own = np.eye(PATIENTS, dtype=np.float32)[names] * 5
    wide = replace(tiles, arrays=[np.concatenate([tiles.arrays[0], own], axis=1)])
    network = head_network(config)
    for head in config.head_records:
        network.heads[head.name] = torch.nn.Linear(WIDTH + PATIENTS, len(head.classes))
    grouped, _ = fit_linear_probe(network, wide, config)
    mixed = replace(wide, patients=np.array([f"r{row:03d}" for row in range(len(wide))]))
    scattered, _ = fit_linear_probe(network, mixed, config)
    assert grouped.penalty > 10 * scattered.penalty
    assert grouped.losses[grouped.penalty] == min(grouped.losses.values())


def test_a_head_without_labels_says_nothing_and_two_fits_are_equal(config):
    tiles = embedded()
    unknown = tiles.targets.copy()
    unknown[:, 2:] = UNKNOWN
    networks = [head_network(config) for _ in range(2)]
    for network in networks:
        fit_linear_probe(network, replace(tiles, targets=unknown), config)
    assert probabilities(networks[0], tiles, "lineage") == pytest.approx(np.full((len(tiles), 3), 1 / 3))
    for x, y in zip(networks[0].state_dict().values(), networks[1].state_dict().values(), strict=True):
        assert torch.equal(x, y)


def test_too_few_patients_get_the_default_penalty(config):
    tiles = embedded()
    few = replace(tiles, patients=np.where(np.arange(len(tiles)) < 100, "p1", "p2"))
    probed = fit_linear_probe(head_network(config), few, config)
    assert {own.penalty for own in probed} == {linear_probe.WITHOUT_FOLDS}
    assert not probed[0].losses
