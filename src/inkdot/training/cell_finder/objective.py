"""The loss of the cell finder."""

import torch
from torch.nn import functional


def finder_loss(
    logits: torch.Tensor, nucleus: torch.Tensor, centre: torch.Tensor, supervised: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy and Dice of the nuclei, and a focal cross-entropy of the centres, where supervised.

    The last after Zhou et al., Objects as Points (2019), with the distance to the target as focus.

    Args:
        logits: Of "nucleus" and "centre", shape [n, 2, height, width].
        nucleus: Target of the first, 0 to 1, shape [n, height, width].
        centre: Target of the second, 0 to 1, shape [n, height, width].
        supervised: Weight of each pixel, 0 where nothing is known, shape [n, height, width].
    """
    entropy = functional.binary_cross_entropy_with_logits
    area = supervised.sum().clamp(min=1)
    flat = (entropy(logits[:, 0], nucleus, reduction="none") * supervised).sum() / area
    chance = torch.sigmoid(logits[:, 0]) * supervised
    dice = 1 - (2 * (chance * nucleus).sum() + 1) / (chance.sum() + (nucleus * supervised).sum() + 1)
    focus = (torch.sigmoid(logits[:, 1]) - centre).abs() ** 2
    heat = (focus * entropy(logits[:, 1], centre, reduction="none") * supervised).sum()
    return flat + 0.5 * dice + 0.5 * heat / (centre * supervised).sum().clamp(min=1)
