"""CLAM's clustering loss on tiles (Lu et al. 2021, doi:10.1038/s41551-020-00682-w), for the flagging head.

Of a positive slide, the tiles with most attention are pseudo-labelled with the flag class and those with least attention as
others; of a negative slide, the tiles with most attention as others. The loss is the smooth top-1 SVM loss of Berrada,
Zisserman and Kumar 2018 (arXiv:1802.07595) with margin 1 and temperature 1, as in CLAM.

Different from CLAM: the head that classifies tiles takes the pseudo-labels, not a classifier of its own. On a frozen backbone
a classifier of its own would share no weight with the slide's score, and change nothing. And the tiles of a negative slide that
get least attention are left out: they are negative like all others, which the loss of tiles has already.
"""

# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import softplus

from inkdot.labels import Head, flag_column
from inkdot.model.attention import flag_margin

_POSITIVE = 0.5
_MARGIN = 1.0


def instance_losses(
    logits: Tensor, attention: Tensor, owners: Tensor, targets: Tensor, heads: Sequence[Head], tiles: int
) -> tuple[Tensor, Tensor]:
    """Sum over slides of the mean loss of their pseudo-labelled tiles, and the number of slides that have some.

    Args:
        logits: As the network gives them, shape [n, columns].
        attention: Scores of the flagging head before the softmax, shape [n].
        owners: Index of each tile's slide, shape [n].
        targets: Of the slides, NaN where unknown, shape [slides, classes of all heads]; those of one half are left out.
        heads: The heads.
        tiles: Tiles of most and of least attention per slide; at most half of a slide's tiles each.
    """
    margins = flag_margin(logits[:, : targets.shape[1]], heads)[:, 0]
    flags = targets[:, flag_column(heads)]
    losses: list[Tensor] = []
    for slide, flag in enumerate(cast("list[float]", flags.tolist())):
        rows = torch.nonzero(owners == slide)[:, 0]
        count = min(tiles, len(rows) // 2)
        if not count or not abs(flag - _POSITIVE) > 0:  # NaN compares false
            continue
        order = rows[torch.argsort(attention[rows].detach(), descending=True, stable=True)]
        most, least = margins[order[:count]], margins[order[-count:]]
        signed = torch.cat([most, -least]) if flag > _POSITIVE else -most
        losses.append(smooth_svm(signed).mean())
    total = torch.stack(losses).sum() if losses else (logits * 0.0).sum()
    return total, torch.tensor(float(len(losses)), device=logits.device)


def smooth_svm(margins: Tensor) -> Tensor:
    """Smooth top-1 SVM loss of two classes: log(exp(s) + exp(1 + o)) − s, of the true class's score s and the other's o.

    Args:
        margins: s − o of each tile.
    """
    return softplus(_MARGIN - margins)
