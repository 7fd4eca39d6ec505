"""A network with further parts, whose random start depends on the seed alone."""

# pyright: reportUnknownMemberType=false

from dataclasses import replace

import torch

from inkdot.config import Config
from inkdot.model.network import TileNetwork
from inkdot.model.self_supervision import SelfTaught

_ATTENTION, _PROJECTOR = 1, 2
"""Streams of chance beside that of the network itself, which is 0."""


def with_attention(network: TileNetwork, config: Config) -> TileNetwork:
    """A copy of the network with attention beside its heads."""
    torch.manual_seed((config.training.seed << 20) + _ATTENTION)
    found = TileNetwork(replace(network.spec, attention_hidden=config.training.slide_labels.hidden))
    found.load_state_dict(found.state_dict() | network.state_dict())
    return found


def with_projector(network: TileNetwork, config: Config) -> SelfTaught:
    """The network itself, ready to learn without labels."""
    torch.manual_seed((config.training.seed << 20) + _PROJECTOR)
    return SelfTaught(network)
