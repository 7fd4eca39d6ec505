"""Adding attention to a network, with a random start that depends on the seed alone."""

# pyright: reportUnknownMemberType=false

from dataclasses import replace
from typing import cast

import torch

from inkdot.config import TrainingConfig
from inkdot.model.attention import GatedAttention
from inkdot.model.network import TileNetwork

_STREAM = 1
"""Random stream of attention; that of the network itself is 0."""


def with_attention(network: TileNetwork, settings: TrainingConfig) -> TileNetwork:
    """A copy of the network with attention beside its heads.

    Before training, attention follows the tile's own margin for the flag class.
    """
    torch.manual_seed((settings.seed << 20) + _STREAM)
    spec = replace(network.spec, attention_hidden=settings.mil.hidden, attention_follows=True)
    attentive = TileNetwork(spec)
    attentive.load_state_dict(attentive.state_dict() | network.state_dict())
    for part in attentive.attention.values():
        cast(GatedAttention, part).initialize_zero()
    return attentive
