"""Networks wrapped for export: with calibrated scores, with features, or as WSInfer expects."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from inkdot.labels import Head, flagging_head, head_slices
from inkdot.model.network import TileNetwork


class ScoringNetwork(nn.Module):
    """Tiles in, calibrated scores of every head out."""

    def __init__(
        self, network: TileNetwork, heads: Sequence[Head], temperatures: Mapping[str, float]
    ) -> None:
        super().__init__()
        self.network = network
        self._columns = [
            (columns.start, columns.stop, temperatures.get(name, 1.0))
            for name, columns in head_slices(heads).items()
        ]

    def forward(self, tiles: Tensor) -> Tensor:
        """Scores, float [n, score columns], each head's between 0 and 1 and summing to 1.

        Args:
            tiles: RGB pixels 0 to 255, uint8, shape [n, 3, side, side].
        """
        logits = self.network(tiles)
        return torch.cat(
            [
                torch.softmax(logits[:, start:stop] / temperature, dim=1)
                for start, stop, temperature in self._columns
            ],
            dim=1,
        )


class FeatureNetwork(nn.Module):
    """:meth:`inkdot.model.network.TileNetwork.forward_with_features` as ``forward``, for tracing."""

    def __init__(self, network: TileNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        """Logits, float [n, columns], and features, float [n, features]; of a network without heads the features alone.

        Args:
            tiles: RGB pixels 0 to 255, uint8, shape [n, 3, side, side].
        """
        return (
            self.network.forward_with_features(tiles) if self.network.heads else self.network.features(tiles)
        )


class FlaggingNetwork(nn.Module):
    """Normalised tiles in, logits of the head that flags out.

    WSInfer normalises before, by its config, and takes the softmax after: the logits are divided by the temperature.
    """

    def __init__(
        self, network: TileNetwork, heads: Sequence[Head], temperatures: Mapping[str, float]
    ) -> None:
        super().__init__()
        head = flagging_head(heads)
        self.backbone = network.backbone
        self.head = network.heads[head.name]
        self._temperature = temperatures.get(head.name, 1.0)
        # WSInfer reads the device from the parameters; frozen ones are enough.
        self.requires_grad_(False)

    def forward(self, tiles: Tensor) -> Tensor:
        """Logits divided by the temperature, float [n, classes].

        Args:
            tiles: RGB, normalised by the model's mean and standard deviation, float, shape [n, 3, side, side].
        """
        return cast(Tensor, self.head(self.backbone(tiles))) / self._temperature
