"""Gated attention over the tiles of a slide (Ilse, Tomczak and Welling 2018, arXiv:1802.04712, equation 9).

A slide is a bag of tiles of which a single one may be malignant. For each head the network gives every tile an attention
score beside its logits. The slide's logits are the mean of the tiles' logits, weighted by the softmax of these scores. The
classifier is linear, so this equals Ilse's classifier on the weighted mean embedding, and one linear layer classifies
tiles and slides alike.
"""

# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from inkdot.config import Aggregator
from inkdot.labels import Head, flagging_head, head_slices


class GatedAttention(nn.Module):
    """Attention score of each tile, before the softmax over its slide."""

    def __init__(self, features: int, hidden: int) -> None:
        """Make the three layers.

        Args:
            features: Width of the embedding.
            hidden: Width of the two hidden layers.
        """
        super().__init__()
        # The embeddings' scales differ by channel and by backbone; the tanh would saturate on some.
        self.scale = nn.LayerNorm(features, elementwise_affine=False)
        self.content = nn.Linear(features, hidden)
        self.gate = nn.Linear(features, hidden)
        self.score = nn.Linear(hidden, 1)

    def initialize_zero(self) -> None:
        """Initialize with a score of 0 for every tile."""
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Scores, shape [n, 1].

        Args:
            features: Shape [n, features].
        """
        scaled = self.scale(features)
        return self.score(torch.tanh(self.content(scaled)) * torch.sigmoid(self.gate(scaled)))


def pooled_logits(logits: Tensor, attention: Tensor, owners: Tensor, bags: int) -> Tensor:
    """Logits of slides: the attention-weighted means of their tiles' logits, shape [bags, classes].

    Args:
        logits: Of one head, shape [n, classes].
        attention: Scores before the softmax, shape [n].
        owners: Index of each tile's bag, 0 to ``bags`` - 1, shape [n]; every bag has a tile.
        bags: Number of bags.
    """
    highest = torch.full((bags,), -torch.inf, dtype=attention.dtype, device=attention.device)
    highest = highest.scatter_reduce(0, owners, attention.detach(), "amax")
    weights = torch.exp(attention - highest[owners])
    sums = torch.zeros_like(highest).index_add(0, owners, weights)
    weighted = logits * (weights / sums[owners]).unsqueeze(1)
    return torch.zeros((bags, logits.shape[1]), dtype=logits.dtype, device=logits.device).index_add(
        0, owners, weighted
    )


def flag_margin(logits: Tensor, heads: Sequence[Head]) -> Tensor:
    """Log-odds of the flag class, shape [n, 1].

    Args:
        logits: Of all heads side by side, shape [n, classes of all heads].
        heads: The heads.
    """
    head = flagging_head(heads)
    of_head, flag = logits[:, head_slices(heads)[head.name]], head.classes.index(head.flag_class or "")
    others = torch.cat([of_head[:, :flag], of_head[:, flag + 1 :]], dim=1)
    return of_head[:, flag : flag + 1] - torch.logsumexp(others, dim=1, keepdim=True)


class EvenAttention(nn.Module):
    """The same score for every tile, without parameters: their softmax gives the mean over the tiles."""

    def forward(self, features: Tensor) -> Tensor:
        """Zeros, shape [n, 1]."""
        return torch.zeros_like(
            features[:, :1]
        )  # a length would become a constant where the network is traced


MAX_SCALE: Final = 1e6
"""Factor of the margin for the flag class whose softmax is the maximum: a lead of 1e-5 in log-odds gives all the weight."""


def attention_modules(
    features: int, hidden: int, heads: nn.ModuleDict, aggregator: Aggregator = "gated_attention"
) -> nn.ModuleDict:
    """One attention module per head, by name; none where ``hidden`` is 0 and the aggregator needs it, or for transmil."""
    if aggregator == "transmil":
        return nn.ModuleDict()
    if aggregator in ("mean", "max"):
        return nn.ModuleDict({name: EvenAttention() for name in heads})
    return nn.ModuleDict({name: GatedAttention(features, hidden) for name in heads if hidden})
