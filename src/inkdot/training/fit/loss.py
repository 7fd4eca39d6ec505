"""Cross-entropy of soft targets, where any target may be unknown."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from inkdot.labels import Head, head_slices


class Loss(NamedTuple):
    """The loss to minimise, and the loss of each head before weighting."""

    total: Tensor
    per_head: dict[str, Tensor]


def masked_loss(
    logits: Tensor,
    targets: Tensor,
    heads: Sequence[Head],
    head_weights: Mapping[str, float] | None = None,
    row_weights: Tensor | None = None,
    totals: Tensor | None = None,
) -> Loss:
    """Weighted sum over heads of the mean cross-entropy (nats) of the rows whose target is known.

    A step may be taken in parts: with the ``totals`` of the whole step, the losses of the parts sum to its loss.

    Args:
        logits: Shape [n, classes of all heads].
        targets: Weight per class, NaN where unknown; a row's classes of one head are all known or all
            unknown. Same shape.
        heads: The heads, in the order of the columns.
        head_weights: Factor of each head, by name; 1 where not given.
        row_weights: Weight of each row in its head's mean, shape [n]; 1 where None.
        totals: What each head's sum is divided by, shape [heads], see :func:`known_weights`; these rows' own where None.

    Returns:
        Scalars. A head without a known row gives 0, with gradient 0.
    """
    if totals is None:
        totals = known_weights(targets, heads, row_weights)
    per_head: dict[str, Tensor] = {}
    for index, (name, columns) in enumerate(head_slices(heads).items()):
        summed = _summed_loss(logits[:, columns].float(), targets[:, columns].float(), row_weights)
        per_head[name] = summed / totals[index].clamp_min(torch.finfo(summed.dtype).tiny)
    factors = head_weights or {}
    total = torch.stack([factors.get(name, 1.0) * loss for name, loss in per_head.items()]).sum()
    return Loss(total, per_head)


def known_weights(targets: Tensor, heads: Sequence[Head], row_weights: Tensor | None = None) -> Tensor:
    """Sum of the weights of the rows whose target is known, float32 [heads]; arguments as of :func:`masked_loss`."""
    sums = [
        _weights(targets[:, columns], row_weights).float().sum() for columns in head_slices(heads).values()
    ]
    return torch.stack(sums)


def _summed_loss(logits: Tensor, targets: Tensor, row_weights: Tensor | None) -> Tensor:
    # Unknown targets become 0 before they meet the logits: NaN times 0 would be NaN, in the gradient too.
    filled = torch.nan_to_num(targets)
    losses = -(filled * torch.log_softmax(logits, dim=1)).sum(dim=1)
    return (losses * _weights(targets, row_weights).to(losses.dtype)).sum()


def _weights(targets: Tensor, row_weights: Tensor | None) -> Tensor:
    known = ~torch.isnan(targets).any(dim=1)
    return known.float() if row_weights is None else known * row_weights
