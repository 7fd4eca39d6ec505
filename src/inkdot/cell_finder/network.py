"""The network of the cell finder: a small U-Net from optical density to nuclei and their centres.

Ronneberger et al., U-Net (2015); centres as a heat map after Zhou et al., Objects as Points (2019).
"""

from itertools import pairwise
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from inkdot.cell_finder.finder_files import EPSILON


class CellFinderNetwork(nn.Module):
    """Nuclei and their centres, at half the resolution of the input.

    Four levels, at 1, 2, 4 and 8 µm per pixel where the input has 0.5.
    """

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        """Make a network with random weights.

        Args:
            widths: Channels at each level, from the finest.
        """
        super().__init__()
        a, b, c, d = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, a, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(a, EPSILON), nn.ReLU()
        )
        self.down1, self.down2 = _convolutions(a, a), _convolutions(a, b, b)
        self.down3, self.down4 = _convolutions(b, c, c), _convolutions(c, d, d, d)
        self.up3, self.up2, self.up1 = (
            _convolutions(d + c, c),
            _convolutions(c + b, b),
            _convolutions(b + a, a),
        )
        self.head = nn.Conv2d(a, 2, 1)
        nn.init.constant_(cast(torch.Tensor, self.head.bias), -2.0)

    def forward(self, od: torch.Tensor) -> torch.Tensor:
        """Logits of "nucleus" and "centre of a nucleus", shape [n, 2, height / 2, width / 2].

        Args:
            od: Optical density, float32, shape [n, 3, height, width]; the sides are multiples of 16.
        """
        at1 = self.down1(self.stem(od))
        at2 = self.down2(functional.max_pool2d(at1, 2))
        at4 = self.down3(functional.max_pool2d(at2, 2))
        at8 = self.down4(functional.max_pool2d(at4, 2))
        up = self.up3(torch.cat([_doubled(at8), at4], 1))
        up = self.up2(torch.cat([_doubled(up), at2], 1))
        return self.head(self.up1(torch.cat([_doubled(up), at1], 1)))


def _convolutions(*channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after, EPSILON),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


def _doubled(features: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
