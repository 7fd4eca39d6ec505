"""A network with further parts, whose random start depends on the seed alone."""

# pyright: reportUnknownMemberType=false

from dataclasses import replace
from typing import cast

import torch

from inkdot.config import Config
from inkdot.model.attention import GatedAttention
from inkdot.model.network import TileNetwork
from inkdot.training.fit.vicreg import SelfTaught

_ATTENTION, _PROJECTOR = 1, 2
"""Streams of chance beside that of the network itself, which is 0."""


def with_attention(network: TileNetwork, config: Config) -> TileNetwork:
    """A copy of the network with attention beside its heads.

    Before it has learnt anything it looks where the tiles' own layer is most for the flag class.
    """
    torch.manual_seed((config.training.seed << 20) + _ATTENTION)
    hidden = config.training.mil.hidden
    found = TileNetwork(replace(network.spec, attention_hidden=hidden, attention_follows=True))
    found.load_state_dict(found.state_dict() | network.state_dict())
    for part in found.attention.values():
        cast(GatedAttention, part).start_neutral()
    return found


def with_projector(network: TileNetwork, config: Config) -> SelfTaught:
    """The network itself, ready to learn without labels."""
    torch.manual_seed((config.training.seed << 20) + _PROJECTOR)
    return SelfTaught(network)
