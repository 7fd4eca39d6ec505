"""Exponential moving average (EMA) of a network's weights over the training steps: what is validated and kept."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import copy
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from inkdot.model.network import TileNetwork


class EMA:
    """EMA of the weights and of the statistics of batch normalisation.

    Attributes:
        network: The network with the averaged weights, on the same device as the one it was made from.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start from the present weights of a network.

        Args:
            network: What will be trained.
            decay: Share (0 to 1, below 1) of the average that a step keeps; 0 follows the network exactly.
        """
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        # Validation during training needs no test-time augmentation, which takes several times as long.
        if isinstance(self.network, TileNetwork):
            self.network.spec = replace(self.network.spec, tta_views=1)
        self._decay = decay

    def update(self, network: nn.Module, step: int) -> None:
        """Add the weights after one more step.

        Args:
            network: The network being trained.
            step: Steps done before, from 0. Early steps use a shorter average, without which the random start would last.
        """
        decay = min(self._decay, (step + 1) / (step + 10)) if self._decay else 0.0
        mean, current = self.network.state_dict(), network.state_dict()
        floats = [name for name, tensor in mean.items() if tensor.is_floating_point()]
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(
                cast("list[Tensor]", [mean[name] for name in floats]),
                cast("list[Tensor]", [current[name] for name in floats]),
                0,
            )
            for name, tensor in mean.items():
                if not tensor.is_floating_point():
                    tensor.copy_(current[name])
