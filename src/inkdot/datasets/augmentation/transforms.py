"""Augmentation of training tiles: variation that occurs between slides, scanners and focal planes."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from typing import Any, cast

# Before the import: otherwise albumentations asks the network for its newest version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A  # noqa: N812
import cv2
import numpy as np

from inkdot.config import AugmentationConfig
from inkdot.datasets.augmentation.stain import LabStatistics, change_light, hed_jitter, rand_stain_na
from inkdot.records import RgbArray


class Augmentation:
    """Augments one tile by a seed: same tile and seed, same result in every process.

    Stain and light first, as they come before the lens; then quarter turns and mirror images with small changes of scale,
    colour, focus, JPEG quality.
    """

    def __init__(
        self, config: AugmentationConfig, mpp: float | None = None, colours: LabStatistics | None = None
    ) -> None:
        """Make the pipeline.

        Args:
            config: What varies, and how much.
            mpp: µm/px of tiles, for blur in µm.
            colours: Of the training slides, for ``rand_stain_na``; without it that does nothing.
        """
        self._config, self._colours = config, colours
        self._pipeline = A.Compose(_transforms(config, mpp), seed=0)

    def __call__(self, tile: RgbArray, seed: int, slide: str = "") -> RgbArray:
        """The augmented tile.

        Args:
            tile: uint8 RGB, shape [side, side, 3]; not changed.
            seed: 0 to 2³² − 1.
            slide: The tile's slide, whose colours ``rand_stain_na`` starts from.
        """
        # Its own generator, so that the draws of the pipeline stay those of earlier versions.
        tile = self._stain_and_light(tile, slide, np.random.default_rng([seed, 1]))
        self._pipeline.set_random_seed(seed)
        return cast(RgbArray, self._pipeline(image=tile)["image"])

    def _stain_and_light(self, tile: RgbArray, slide: str, generator: np.random.Generator) -> RgbArray:
        config = self._config
        if config.rand_stain_na > 0 and self._colours is not None:
            tile = rand_stain_na(tile, slide, self._colours, config.rand_stain_na, generator)
        if config.hed_jitter > 0:
            tile = hed_jitter(tile, config.hed_jitter, generator)
        if config.exposure > 0 or config.white_balance > 0:
            exposure, balance = generator.uniform(-1, 1, 2) * (config.exposure, config.white_balance)
            tile = change_light(tile, exposure, balance)
        return tile


def _transforms(config: AugmentationConfig, mpp: float | None) -> list[Any]:
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
    if config.scale > 0:
        scale = (1 / (1 + config.scale), 1 + config.scale)
        transforms.append(A.Affine(scale=scale, keep_ratio=True, border_mode=cv2.BORDER_REFLECT_101, p=0.8))
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
        if config.blur_um is not None and mpp is None:
            raise ValueError(f"blur_um: expected the mpp of tiles with {config.blur_um:g} µm, found None")
        strongest = 1.5 if config.blur_um is None or mpp is None else config.blur_um / mpp
        sigmas = (min(0.3, strongest), strongest)
        transforms.append(A.GaussianBlur(blur_limit=0, sigma_limit=sigmas, p=config.focus))
    if config.jpeg > 0:
        transforms.append(A.ImageCompression(quality_range=(config.jpeg_quality, 95), p=config.jpeg))
    return transforms
