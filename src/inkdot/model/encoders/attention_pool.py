"""Attentional pooling of CONCH v1.5: one learned query attends to all tokens of a tile."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from typing import Final, cast

import torch
from torch import Tensor, nn

WIDTH: Final = 768
_HEADS: Final = 8


class AttentionPool(nn.Module):
    """Multi-head attention of one query over the tokens, then LayerNorm; tensors are named as in the published file.

    Args:
        token_width: Width of the tokens.
    """

    def __init__(self, token_width: int) -> None:
        super().__init__()
        self.attn_pool_contrast = _QueryAttention(token_width)
        self.ln_contrast = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings, float [n, 768], from tokens, float [n, tokens, width]."""
        return cast(Tensor, self.ln_contrast(self.attn_pool_contrast(tokens)))


class _QueryAttention(nn.Module):
    """Attention with ``x W_kv`` split into keys and values, without biases, after Alayrac et al. 2022 and CoCa."""

    def __init__(self, token_width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, WIDTH))
        self.ln_k = nn.LayerNorm(token_width)
        self.ln_q = nn.LayerNorm(WIDTH)
        self.to_q = nn.Linear(WIDTH, WIDTH, bias=False)
        self.to_kv = nn.Linear(token_width, 2 * WIDTH, bias=False)
        self.to_out = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        count = tokens.shape[0]
        query = cast(Tensor, self.to_q(self.ln_q(self.query))).expand(count, 1, WIDTH)
        keys, values = cast(Tensor, self.to_kv(self.ln_k(tokens))).chunk(2, dim=-1)
        queries, keys, values = (
            part.reshape(count, -1, _HEADS, WIDTH // _HEADS).transpose(1, 2) for part in (query, keys, values)
        )
        pooled = nn.functional.scaled_dot_product_attention(queries, keys, values)
        return cast(Tensor, self.to_out(pooled.transpose(1, 2).reshape(count, WIDTH)))
