"""Augmentation of training tiles: variation that occurs between slides, scanners and focal planes."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from typing import Any, cast

# Before the import: otherwise albumentations asks the network for its newest version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A  # noqa: N812
import cv2

from inkdot.config import AugmentationConfig
from inkdot.records import RgbArray


class Augmentation:
    """Augments one tile by a seed: same tile and seed, same result in every process.

    Quarter turns and mirror images with small changes of scale, colour, focus, JPEG quality.
    """

    def __init__(self, config: AugmentationConfig) -> None:
        self._pipeline = A.Compose(_transforms(config), seed=0)

    def __call__(self, tile: RgbArray, seed: int) -> RgbArray:
        """The augmented tile.

        Args:
            tile: uint8 RGB, shape [side, side, 3]; not changed.
            seed: 0 to 2³² − 1.
        """
        self._pipeline.set_random_seed(seed)
        return cast(RgbArray, self._pipeline(image=tile)["image"])


def _transforms(config: AugmentationConfig) -> list[Any]:
    transforms: list[Any] = []
    if config.geometry:
        transforms.append(A.D4(p=1.0))
        # ±8 %: mpp as stated by scanners differs by a few per cent; more would blur the nuclear size, which separates cells.
        transforms.append(A.Affine(scale=(0.92, 1.08), border_mode=cv2.BORDER_REFLECT_101, p=0.3))
    if config.distortion > 0:
        strength = config.distortion
        transforms.append(
            A.Affine(
                scale=(1 - 0.2 * strength, 1 + 0.25 * strength),
                rotate=(-45 * strength, 45 * strength),
                translate_percent=(-0.1 * strength, 0.1 * strength),
                border_mode=cv2.BORDER_REFLECT_101,
                p=0.8,
            )
        )
    if config.colour > 0:
        strength = config.colour
        transforms.append(
            A.ColorJitter(
                brightness=(1 - 0.3 * strength, 1 + 0.3 * strength),
                contrast=(1 - 0.4 * strength, 1 + 0.4 * strength),
                saturation=(1 - 0.6 * strength, 1 + 0.6 * strength),
                hue=(-0.06 * strength, 0.06 * strength),
                p=0.8,
            )
        )
    if config.focus > 0:
        transforms.append(A.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.5), p=config.focus))
    if config.jpeg > 0:
        transforms.append(A.ImageCompression(quality_range=(50, 95), p=config.jpeg))
    return transforms
