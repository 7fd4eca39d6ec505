"""Adding attention to a network, with a random start that depends on the seed alone."""

# pyright: reportUnknownMemberType=false

from dataclasses import replace

import torch

from inkdot.config import TrainingConfig
from inkdot.model.attention import GatedAttention
from inkdot.model.network import TileNetwork

_STREAM = 1
"""Random stream of attention; that of the network itself is 0."""


def with_attention(network: TileNetwork, settings: TrainingConfig) -> TileNetwork:
    """A copy of the network with attention beside its heads, as ``training.mil.aggregator`` has it.

    Before training, attention follows the tile's own margin for the flag class.
    """
    torch.manual_seed((settings.seed << 20) + _STREAM)
    aggregator = settings.mil.aggregator
    learned = aggregator in ("gated_attention", "clam_sb")
    spec = replace(
        network.spec,
        attention_hidden=settings.mil.hidden if learned or aggregator == "transmil" else 0,
        attention_follows=learned,
        aggregator=aggregator,
    )
    attentive = TileNetwork(spec)
    attentive.load_state_dict(attentive.state_dict() | network.state_dict())
    for part in attentive.attention.values():
        if isinstance(part, GatedAttention):
            part.initialize_zero()
    return attentive
