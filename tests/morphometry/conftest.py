"""Painted nuclei of known size: Beer-Lambert, blurred and noisy, at any scale."""

from collections.abc import Callable, Sequence
from typing import Protocol

import cv2
import numpy as np
import pytest

from inkdot.records import RgbArray

GLASS = 243.0
DYES = {
    "haematoxylin": (0.651, 0.701, 0.290),
    "eosin": (0.216, 0.801, 0.558),
    "light_green": (0.947, 0.254, 0.197),
    "orange_g": (0.107, 0.368, 0.924),
}


class Drawn(Protocol):
    """An ellipse of dye; lengths in µm."""

    x_um: float
    y_um: float
    diameter_um: float
    dye: str
    amount: float
    aspect: float


Paint = Callable[..., RgbArray]


@pytest.fixture(scope="session")
def paint() -> Paint:
    """`paint(discs, side_um=100, mpp=0.25, blur_um=0.3)`: a image of discs on glass, drawn eight times finer."""

    def painting(
        discs: Sequence[Drawn], side_um: float = 100.0, mpp: float = 0.25, blur_um: float = 0.3, seed: int = 0
    ) -> RgbArray:
        side, fine = round(side_um / mpp), 8
        density = np.zeros((side, side, 3))
        for disc in discs:
            mask = np.zeros((side * fine, side * fine), np.uint8)
            scale = fine / mpp
            across = disc.diameter_um / np.sqrt(disc.aspect)
            centre = (
                (disc.x_um * scale, disc.y_um * scale),
                (disc.diameter_um * np.sqrt(disc.aspect) * scale, across * scale),
                30.0,
            )
            cv2.ellipse(mask, centre, 255, -1)
            covered = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA) / 255.0
            density += covered[..., None] * disc.amount * np.asarray(DYES[disc.dye])
        density = cv2.GaussianBlur(density, (0, 0), blur_um / mpp)
        light = GLASS * 10.0**-density + np.random.default_rng(seed).normal(0, 1.5, density.shape)
        return np.clip(np.round(light), 0, 255).astype(np.uint8)

    return painting
