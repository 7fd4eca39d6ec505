"""Gated attention against the formula written out, and the scores of slides that come of it."""

import numpy as np
import pytest
import torch

from inkdot.labels import DEFAULT_HEADS
from inkdot.metrics.slides.attention_pooling import attention_pool, attention_weights
from inkdot.model.attention import GatedAttention, pooled_logits
from inkdot.model.calibrated_scores import calibrated_scores
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.model.predictor import slide_attention


def test_the_score_of_a_tile_is_that_of_the_paper() -> None:
    """Equation 9 of Ilse et al. 2018, in NumPy, on embeddings scaled to mean 0 and variance 1."""
    torch.manual_seed(0)
    attention = GatedAttention(6, 4)
    features = torch.randn(5, 6) * 30 + 7
    x = features.numpy().astype(np.float64)
    h = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    weights = {name: tensor.numpy().astype(np.float64) for name, tensor in attention.state_dict().items()}
    content = np.tanh(h @ weights["content.weight"].T + weights["content.bias"])
    gate = 1.0 / (1.0 + np.exp(-(h @ weights["gate.weight"].T + weights["gate.bias"])))
    expected = (content * gate) @ weights["score.weight"].T + weights["score.bias"]
    assert attention(features).detach().numpy() == pytest.approx(expected, abs=1e-5)


def test_the_logits_of_a_bag_are_the_weighted_mean_of_its_own_tiles() -> None:
    generator = np.random.default_rng(1)
    logits, attention = generator.normal(size=(7, 2)), generator.normal(size=7) * 60
    owners = np.array([1, 0, 1, 1, 2, 0, 1])
    found = pooled_logits(torch.tensor(logits), torch.tensor(attention), torch.tensor(owners), 3).numpy()
    for bag in range(3):
        own = owners == bag
        weights = np.exp(attention[own] - attention[own].max())
        assert found[bag] == pytest.approx((weights / weights.sum()) @ logits[own])


def test_the_gradient_of_attention_is_that_of_the_softmax() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0], [0.5, 0.5]], dtype=torch.float64)
    plain = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64, requires_grad=True)
    (torch.softmax(plain, 0)[:, None] * logits).sum(0)[1].backward()
    grouped = plain.detach().clone().requires_grad_()
    pooled_logits(logits, grouped, torch.zeros(3, dtype=torch.int64), 1)[0, 1].backward()
    assert plain.grad is not None
    assert grouped.grad is not None
    assert grouped.grad.numpy() == pytest.approx(plain.grad.numpy())


def test_a_slides_score_from_the_tables_is_that_of_the_network() -> None:
    """From calibrated probabilities and weights, as they are stored, one gets the softmax of the pooled logits."""
    generator = np.random.default_rng(2)
    logits = generator.normal(size=(9, 6)).astype(np.float32) * 4
    temperatures = {"malignancy": 1.7, "morphology": 0.6}
    scores = calibrated_scores(logits, DEFAULT_HEADS, temperatures)
    assert scores.shape == (9, 4)
    weights = slide_attention(logits, DEFAULT_HEADS, DEFAULT_HEADS[0])
    assert weights.sum() == pytest.approx(1.0)
    pooled = pooled_logits(
        torch.tensor(logits[:, :2]), torch.tensor(logits[:, 4]), torch.zeros(9, dtype=torch.int64), 1
    )
    expected = torch.softmax(pooled / 1.7, dim=1)[0].numpy()
    assert attention_pool(scores[:, :2], weights) == pytest.approx(expected, abs=1e-6)
    assert attention_pool(scores[:, :2], weights)[1] <= scores[:, 1].max()


def test_a_slide_without_tiles_has_no_weights() -> None:
    assert attention_weights(np.zeros(0)).shape == (0,)


def test_a_network_with_attention_gives_one_more_column_per_head() -> None:
    spec = NetworkSpec("test_efficientnet", 0.2, DEFAULT_HEADS, 32, attention_hidden=8)
    torch.manual_seed(0)
    network = TileNetwork(spec).eval()
    tiles = torch.randint(0, 255, (3, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        out = network(tiles)
        features = network.features(tiles)
        assert out.shape == (3, 6)
        assert torch.equal(out[:, 4:5], network.attention["malignancy"](features))
        assert torch.equal(out[:, 5:6], network.attention["morphology"](features))
    plain = TileNetwork(NetworkSpec("test_efficientnet", 0.2, DEFAULT_HEADS, 32))
    assert not [name for name in plain.state_dict() if name.startswith("attention")]
