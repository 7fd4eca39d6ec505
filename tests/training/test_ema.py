"""The EMA of weights against plain NumPy."""

import numpy as np
import pytest
import torch

from inkdot.model.network import TileNetwork
from inkdot.training.fit.ema import EMA


def steps(network, ema, count):
    """Random weights after each step; those of one layer and of one statistic, as NumPy sees them."""
    generator = torch.Generator().manual_seed(3)
    seen = []
    for step in range(count):
        with torch.no_grad():
            for tensor in network.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(torch.randn(tensor.shape, generator=generator))
                else:
                    tensor.fill_(step)
        ema.update(network, step)
        seen.append({name: tensor.numpy().copy() for name, tensor in network.state_dict().items()})
    return seen


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_it_is_the_exponential_moving_average_with_a_shorter_one_at_first(tiny_spec, decay):
    network = TileNetwork(tiny_spec)
    expected = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}
    ema = EMA(network, decay)
    for step, weights in enumerate(steps(network, ema, 30)):
        share = min(decay, (step + 1) / (step + 10))
        for name, value in weights.items():
            mean = share * expected[name] + (1 - share) * value
            expected[name] = mean if value.dtype == np.float32 else value
    for name, tensor in ema.network.state_dict().items():
        np.testing.assert_allclose(tensor.numpy(), expected[name], rtol=1e-4, atol=1e-5)


def test_without_decay_it_equals_the_network_exactly(tiny_spec):
    network = TileNetwork(tiny_spec)
    ema = EMA(network, 0.0)
    steps(network, ema, 3)
    for name, tensor in ema.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])
    assert not any(parameter.requires_grad for parameter in ema.network.parameters())
