"""Learning rates by layer, and what settings that are null become."""

import re

import pytest
import timm
import torch
from fixtures.painted_tiles import run_context
from timm.optim import param_groups_layer_decay

from inkdot.config import config_from_mapping
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.training.fit.objective import TileObjective, TrainingData
from inkdot.training.fit.optimizer import (
    OptimizerSettings,
    adamw,
    is_transformer,
    optimizer_settings,
    parameter_groups,
    set_learning_rate,
)
from inkdot.training.fit.trainer import fit


def config(weights="scratch", **training):
    return config_from_mapping({"model": {"weights": weights}, "training": training})


@pytest.fixture
def network(tiny_config):
    return TileNetwork(NetworkSpec("resnet10t", 0.0, tiny_config.head_records, 64))


def rates(optimizer, network):
    """Learning rate by name of parameter."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {names[id(own)]: group["lr"] for group in optimizer.param_groups for own in group["params"]}


def test_rates_are_timms_with_the_heads_as_one_more_layer(network):
    settings = config(layer_decay=0.5).training
    optimizer = adamw(network, settings, OptimizerSettings(1.0, 0.5, 0.0))
    set_learning_rate(optimizer, 0.1)
    found = rates(optimizer, network)
    assert set(found) == {name for name, _ in network.named_parameters()}
    assert {rate for name, rate in found.items() if name.startswith("heads.")} == {0.1}
    # The same network with timm's own classifier, which timm counts as the top layer.
    whole = timm.create_model("resnet10t", num_classes=2)
    names = {id(parameter): name for name, parameter in whole.named_parameters()}
    expected = {
        f"backbone.{names[id(own)]}": 0.1 * group["lr_scale"]
        for group in param_groups_layer_decay(whole, 0.02, layer_decay=0.5)
        for own in group["params"]
        if not names[id(own)].startswith("fc.")
    }
    assert {name: rate for name, rate in found.items() if not name.startswith("heads.")} == pytest.approx(
        expected
    )
    assert min(expected.values()) < max(expected.values()) < 0.1


def test_layers_inside_an_encoder_that_pools_tokens_are_timms(tiny_config):
    spec = NetworkSpec("vit_tiny_patch16_224", 0.0, tiny_config.head_records, 32, pooling="mean")
    network = TileNetwork(spec)
    scales = rates_by_block(parameter_groups(network, 0.02, 0.5), network)
    assert scales["heads"] == 1.0
    blocks = [scales[f"backbone.trunk.blocks.{block}."] for block in range(12)]
    assert blocks == pytest.approx([0.5 ** (12 - block) for block in range(12)])


def rates_by_block(groups, network):
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        re.sub(r"(heads|blocks\.\d+\.).*", r"\1", names[id(own)]): group.get("lr_scale", 1.0)
        for group in groups
        for own in group["params"]
    }


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_biases_and_normalisation_do_not_decay(network, layer_decay):
    groups = parameter_groups(network, 0.02, layer_decay)
    for group in groups:
        assert all((own.ndim > 1) == (group["weight_decay"] == 0.02) for own in group["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


@pytest.mark.parametrize(
    ("weights", "training", "expected"),
    [
        ("scratch", {}, (1e-3, 1.0, 0.0)),
        ("imagenet-lite0", {}, (1e-3, 1.0, 0.0)),
        ("pretrained", {"learning_rate": 3e-4, "gradient_clip": 2.0}, (3e-4, 1.0, 2.0)),
        ("RUN/model/weights.safetensors", {"layer_decay": 0.8}, (1e-3, 0.8, 0.0)),
    ],
)
def test_settings_that_are_null_follow_the_starting_weights(network, weights, training, expected):
    assert optimizer_settings(config(weights, **training), network.backbone) == expected


@pytest.mark.parametrize(
    ("weights", "training", "expected"),
    [
        ("scratch", {}, (1e-3, 1.0, 1.0)),
        ("pretrained", {}, (3e-4, 0.75, 1.0)),
        ("RUN/model/weights.safetensors", {"layer_decay": 1.0, "gradient_clip": 0.0}, (3e-4, 1.0, 0.0)),
    ],
)
def test_pretrained_transformers_are_trained_slower_below(weights, training, expected):
    with torch.device("meta"):
        backbone = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    assert optimizer_settings(config(weights, **training), backbone) == expected


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [("vit_tiny_patch16_224", True), ("swin_tiny_patch4_window7_224", True), ("resnet10t", False),
     ("mobilenetv3_small_100", False), ("tf_efficientnet_lite0", False), ("convnext_atto", False)],
)  # fmt: skip
def test_gradients_of_transformers_are_clipped(backbone, expected):
    with torch.device("meta"):
        made = timm.create_model(backbone, num_classes=0)
    assert is_transformer(made) == expected
    assert optimizer_settings(config(), made).gradient_clip == (1.0 if expected else 0.0)
    assert optimizer_settings(config(gradient_clip=0.0), made).gradient_clip == 0.0


def test_the_lowest_layers_of_a_run_move_least(
    tmp_path, tiny_config, training_tiles, validation_tiles, quiet
):
    values = tiny_config.model_dump(mode="json")
    values["training"] |= {"epochs": 1, "layer_decay": 0.01, "weight_decay": 0.0}
    own = config_from_mapping(values)
    torch.manual_seed(0)
    trained = TileNetwork(NetworkSpec(own.model.backbone, 0.0, own.head_records, own.tiling.side_px))
    start = {name: parameter.detach().clone() for name, parameter in trained.named_parameters()}
    context = run_context(tmp_path, own, quiet)
    data = TrainingData(training_tiles, validation_tiles, "selftest_", "run")
    fit(trained, TileObjective(data, own, context.fabric), context)
    moved = {n: float((own.detach() - start[n]).abs().max()) for n, own in trained.named_parameters()}
    first = next(name for name in moved if name.startswith("backbone."))
    assert moved["heads.malignancy.weight"] > 1e-3
    assert moved[first] < 1e-6
    # metrics.csv shows the rate of the heads, not that of the first layer.
    shown = (tmp_path / "metrics.csv").read_text().splitlines()
    rate = float(shown[1].split(",")[shown[0].split(",").index("learning_rate")])
    assert rate > 1e-9
