"""Graded corruptions of a tile: what differs between laboratories, one thing at a time, in physical units.

In the manner of Hendrycks and Dietterich 2019 (arXiv:1903.12261), with levels a laboratory can relate to its own: µm of
blur, stops of light, JPEG quality, % of stain and of size. Nothing is drawn at random: same tile, same result.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from collections.abc import Callable
from typing import Final, NamedTuple, cast

# Before the import: otherwise albumentations asks the network for its newest version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A  # noqa: N812
import cv2
import numpy as np

from inkdot.datasets.augmentation.stain import change_light, optical_density, to_uint8
from inkdot.records import RgbArray


class Corruption(NamedTuple):
    """One way in which tiles of another laboratory differ.

    Attributes:
        name: Name in tables and JSON.
        title: For people.
        unit: Unit of the levels; blur is in µm, in pixels of the tile where the scale is unknown.
        unchanged: The level at which nothing changes.
        levels: Levels in ascending order, without ``unchanged``.
        apply: From a tile, a level and the tile's µm/px to the corrupted tile.
    """

    name: str
    title: str
    unit: str
    unchanged: float
    levels: tuple[float, ...]
    apply: Callable[[RgbArray, float, float], RgbArray]


def corrupted(tile: RgbArray, corruption: Corruption, level: float, mpp: float) -> RgbArray:
    """The corrupted tile, uint8 RGB of the same shape; the tile itself at the level that changes nothing.

    Args:
        tile: uint8 RGB, shape [side, side, 3]; not changed.
        corruption: Which.
        level: In the corruption's unit.
        mpp: µm/px of the tile; 1 where it is unknown, so that blur is in pixels.
    """
    return tile if level == corruption.unchanged else corruption.apply(np.ascontiguousarray(tile), level, mpp)


def _run(transform: object, tile: RgbArray) -> RgbArray:
    return cast(RgbArray, A.Compose([transform], seed=0)(image=tile)["image"])  # type: ignore[list-item]


def _blur(tile: RgbArray, level: float, mpp: float) -> RgbArray:
    sigma = level / mpp
    return _run(A.GaussianBlur(blur_limit=0, sigma_limit=(sigma, sigma), p=1.0), tile)


def _jpeg(tile: RgbArray, level: float, _mpp: float) -> RgbArray:
    return _run(A.ImageCompression(quality_range=(int(level), int(level)), p=1.0), tile)


def _size(tile: RgbArray, level: float, _mpp: float) -> RgbArray:
    scale = level / 100.0
    source = tile
    if scale < 1.0:  # smoothed first, as a scanner of lower magnification would
        source = cast(RgbArray, cv2.GaussianBlur(tile, (0, 0), 0.5 * (1.0 / scale - 1.0) + 1e-3))
    return _run(A.Affine(scale=(scale, scale), border_mode=cv2.BORDER_REFLECT_101, p=1.0), source)


def _stain(tile: RgbArray, level: float, _mpp: float) -> RgbArray:
    """Optical density times a factor (Beer-Lambert: proportional to the amount of stain)."""
    return to_uint8(255.0 * np.exp(-level / 100.0 * optical_density(tile)))


def _hue(tile: RgbArray, level: float, _mpp: float) -> RgbArray:
    half = level / 2.0  # OpenCV counts hue in steps of 2°
    transform = A.HueSaturationValue((half, half), (0, 0), (0, 0), p=1.0)
    return _run(transform, tile)


def _cast(tile: RgbArray, level: float, _mpp: float) -> RgbArray:
    """Red up and blue down by so many stops (warmer), in linear light."""
    return change_light(tile, 0.0, level)


def _exposure(tile: RgbArray, level: float, _mpp: float) -> RgbArray:
    return change_light(tile, level, 0.0)


CORRUPTIONS: Final = (
    Corruption("stain_amount", "Amount of stain", "%", 100.0, (50.0, 70.0, 140.0, 200.0), _stain),
    Corruption("stain_hue", "Hue of the stain", "°", 0.0, (-40.0, -20.0, -10.0, 10.0, 20.0, 40.0), _hue),
    Corruption("colour_cast", "Colour cast", "stops red/blue", 0.0, (-0.5, -0.25, 0.25, 0.5), _cast),
    Corruption("exposure", "Exposure", "stops", 0.0, (-1.0, -0.5, -0.25, 0.25, 0.5, 1.0), _exposure),
    Corruption("blur", "Blur (sigma)", "µm", 0.0, (0.25, 0.5, 1.0, 2.0), _blur),
    Corruption("jpeg", "JPEG quality", "", 100.0, (10.0, 20.0, 40.0, 60.0, 80.0), _jpeg),
    Corruption("size", "Apparent size", "%", 100.0, (50.0, 70.0, 85.0, 120.0, 150.0, 200.0), _size),
)
"""All of them; a level of 0.5 stops, 1 µm or 70 % is common between laboratories, the ends are rare."""

_OF_THE_CARD: Final[dict[str, tuple[float, ...]]] = {
    "stain_amount": (70.0, 140.0),
    "stain_hue": (-20.0, 20.0),
    "colour_cast": (0.25,),
    "exposure": (-0.5, 0.5),
    "blur": (0.5, 1.0),
    "jpeg": (40.0,),
    "size": (70.0, 150.0),
}
"""Levels that are common between laboratories."""

_PX_PER_LEVEL: Final = 2.0
"""Of blur on tiles of unknown scale: as many pixels as at 0.5 µm/px."""


def named_levels(*, mpp_known: bool) -> list[tuple[Corruption, float, str]]:
    """A few shifts that are common between laboratories, each with its level and a name such as ``Blur (sigma) 1 µm``."""
    found: list[tuple[Corruption, float, str]] = []
    for own in CORRUPTIONS:
        factor = _PX_PER_LEVEL if own.unit == "µm" and not mpp_known else 1.0
        levels = [level * factor for level in _OF_THE_CARD[own.name]]
        found += [(own, level, shift_name(own, level, mpp_known=mpp_known)) for level in levels]
    return found


def shift_name(corruption: Corruption, level: float, *, mpp_known: bool) -> str:
    """Name of a shift for people; where the scale is unknown, blur is in pixels of the tile."""
    unit = "px" if corruption.unit == "µm" and not mpp_known else corruption.unit
    return f"{corruption.title} {level:g} {unit}".strip()
