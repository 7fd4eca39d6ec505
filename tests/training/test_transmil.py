"""The transformer over the tiles of a slide, against PyTorch's own layers, and what it learns that pooling cannot."""

import numpy as np
import pytest
import torch
from training.test_aggregators import attentive_heads, config_with

from inkdot.config import config_from_mapping
from inkdot.datasets.bags import bag_set
from inkdot.datasets.tile_set import TileSet
from inkdot.errors import UserError
from inkdot.labels import DEFAULT_HEADS
from inkdot.metrics.classification import roc_auc
from inkdot.model.attention import flag_margin
from inkdot.model.runtimes.torch_backend import predict_logits
from inkdot.model.slide_transformer import SelfAttention, SlideTransformer, seen_tiles, slide_output
from inkdot.training.mil.mil_objective import pooled_bags, slide_logits


def reference_of(layer):
    """PyTorch's layer with the same weights; its feed-forward part adds nothing."""
    hidden = layer.norm.normalized_shape[0]
    own = torch.nn.TransformerEncoderLayer(
        hidden, 4, 1, dropout=0.0, norm_first=True, batch_first=True
    ).double()
    own.load_state_dict(
        own.state_dict()
        | {
            "self_attn.in_proj_weight": layer.qkv.weight,
            "self_attn.in_proj_bias": layer.qkv.bias,
            "self_attn.out_proj.weight": layer.out.weight,
            "self_attn.out_proj.bias": layer.out.bias,
            "norm1.weight": layer.norm.weight,
            "norm1.bias": layer.norm.bias,
            "linear2.weight": torch.zeros(hidden, 1),
            "linear2.bias": torch.zeros(hidden),
        }
    )
    return own


def layer_of(hidden=8):
    torch.manual_seed(3)
    layer = SelfAttention(hidden).double().eval()
    torch.nn.init.normal_(layer.norm.weight)
    torch.nn.init.normal_(layer.norm.bias)
    return layer


def test_a_layer_and_its_gradients_are_those_of_pytorchs_encoder_layer():
    layer, x = layer_of(), torch.randn(7, 8, dtype=torch.float64, requires_grad=True)
    other, same = reference_of(layer), x.detach().clone().requires_grad_()
    weights = torch.randn(7, 8, dtype=torch.float64)
    found, expected = layer(x), other(same[None])[0]
    assert found.detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-12)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert x.grad.numpy() == pytest.approx(same.grad.numpy(), abs=1e-12)
    for one, two in (
        (layer.qkv.weight, other.self_attn.in_proj_weight),
        (layer.qkv.bias, other.self_attn.in_proj_bias),
        (layer.out.weight, other.self_attn.out_proj.weight),
        (layer.norm.weight, other.norm1.weight),
    ):
        assert one.grad.abs().max() > 0
        assert one.grad.numpy() == pytest.approx(two.grad.numpy(), abs=1e-12)


def test_the_class_token_is_the_first_of_all_tokens_and_its_attention_that_of_pytorch():
    layer, x = layer_of(), torch.randn(7, 8, dtype=torch.float64)
    token, attention = layer.first(x)
    assert token.detach().numpy() == pytest.approx(layer(x)[0].detach().numpy(), abs=1e-12)
    other = reference_of(layer)
    normed = other.norm1(x)[None]
    expected = other.self_attn(normed, normed, normed)[1][0, 0]
    assert attention.detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-12)


def test_the_score_of_a_slide_is_the_same_for_any_order_of_its_tiles():
    torch.manual_seed(0)
    transformer, outputs = (
        SlideTransformer(16, 4),
        np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32),
    )
    order = np.random.default_rng(1).permutation(50)
    one, other = (slide_output(transformer, own, DEFAULT_HEADS) for own in (outputs, outputs[order]))
    assert one.logits == pytest.approx(other.logits, abs=1e-5)
    assert one.attention[order] == pytest.approx(other.attention, abs=1e-6)
    assert one.attention.sum() == pytest.approx(1.0)
    changed = outputs.copy()
    changed[7, 4:] *= -5
    assert slide_output(transformer, changed, DEFAULT_HEADS).logits != pytest.approx(one.logits, abs=1e-3)


def test_of_a_slide_of_many_tiles_the_highest_and_some_of_the_others_are_seen(monkeypatch):
    margins = np.random.default_rng(2).normal(size=1000).astype(np.float32)
    rows = seen_tiles(margins, 100)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == 100
    highest = set(np.argsort(-margins)[:50].tolist())
    assert highest <= set(rows.tolist())
    assert np.diff(sorted(set(rows.tolist()) - highest)).max() < 40  # spread over the slide
    assert seen_tiles(margins, 1000).tolist() == list(range(1000))
    monkeypatch.setattr("inkdot.model.slide_transformer.seen_tiles", lambda own: seen_tiles(own, 100))
    torch.manual_seed(0)
    transformer, outputs = (
        SlideTransformer(16, 4),
        np.random.default_rng(3).normal(size=(1000, 20)).astype(np.float32),
    )
    expected = seen_tiles(flag_margin(torch.from_numpy(outputs[:, :4]), DEFAULT_HEADS)[:, 0].numpy(), 100)
    found = slide_output(transformer, outputs, DEFAULT_HEADS)
    assert found.logits == pytest.approx(slide_output(transformer, outputs[expected], DEFAULT_HEADS).logits)
    assert np.flatnonzero(found.attention).tolist() == expected.tolist()


def bags_of_two_kinds(slides, seed):
    """Slides of 12 tiles: two of kind A and two of kind B on positive ones, four of one kind on negative ones."""
    generator = np.random.default_rng(seed)
    arrays, names, of_slide = [], [], {}
    for slide in range(slides):
        features, name, positive = generator.normal(size=(12, 6)) * 0.5, f"s{slide:03d}", slide % 2
        kinds = [0, 0, 1, 1] if positive else [slide // 2 % 2] * 4
        features[np.arange(4), kinds] += 4
        arrays.append(features.astype(np.float16))
        names += [name] * 12
        of_slide[name] = np.array([1 - positive, positive, np.nan, np.nan], np.float32)
    tiles = TileSet(
        arrays=arrays,
        array_of_row=np.repeat(np.arange(slides), 12),
        index_in_array=np.tile(np.arange(12), slides),
        targets=np.full((len(names), 4), np.nan, np.float32),
        patients=np.array(names),
        slides=np.array(names),
    )
    return bag_set(tiles, of_slide)


def auc_after_training(aggregator, monkeypatch):
    """AUC on further slides, after 120 steps of 16 slides with the network and loss of training."""
    config = config_with(aggregator, hidden=16)
    network, bags = attentive_heads(config, monkeypatch), bags_of_two_kinds(160, 1)
    features = torch.from_numpy(np.concatenate(bags.tiles.arrays)).float().reshape(160, 12, 6)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    network.train()
    for step in range(120):
        rows = np.random.default_rng(step).choice(160, 16, replace=False)
        owners = torch.arange(16).repeat_interleave(12)
        outputs = network(features[rows].reshape(-1, 6), owners)
        pooled = (
            outputs[1] if aggregator == "transmil" else slide_logits(outputs, owners, 16, config.head_records)
        )
        loss = torch.nn.functional.cross_entropy(pooled[:, :2], torch.from_numpy(bags.targets[rows, :2]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    test = bags_of_two_kinds(100, 3)
    logits = predict_logits(network, test.tiles.tiles(), device=torch.device("cpu"), batch_size=64)
    assert logits.shape[1] == network.columns
    pooled = pooled_bags(logits, test, config.head_records, network)
    return roc_auc(np.arange(100) % 2 == 1, pooled[:, 1] - pooled[:, 0])


def test_it_learns_which_tiles_come_together_where_mean_and_maximum_cannot(monkeypatch):
    found = {own: auc_after_training(own, monkeypatch) for own in ("transmil", "mean", "max")}
    assert found["transmil"] > 0.95
    assert found["mean"] < 0.65
    assert found["max"] < 0.8  # the highest tile tells positive slides from one half of the negative ones


def test_it_is_refused_end_to_end_and_with_a_width_that_its_heads_cannot_share():
    values = config_with("transmil").model_dump(mode="json")
    values["training"]["mil"]["hidden"] = 10
    with pytest.raises(UserError, match=r"training.mil.hidden: expected a multiple of 4"):
        config_from_mapping(values)
    values["training"]["mil"]["hidden"] = 16
    values["model"]["freeze_backbone"] = False
    with pytest.raises(UserError, match=r"transmil: expected model.freeze_backbone: true, found false"):
        config_from_mapping(values)
