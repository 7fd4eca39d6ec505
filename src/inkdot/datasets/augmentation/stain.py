"""Random changes of stain and of light, as between laboratories, scanners and days."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt
from skimage.color import hed_from_rgb, rgb_from_hed

from inkdot.records import RgbArray

_Floats = npt.NDArray[np.float64]

_STAINED: Final = 0.15
"""Mean optical density (natural logarithm) from which a pixel counts as stained: Macenko 2009."""
_MAX_RATIO: Final = 2.0
"""Of spreads in LAB; more would turn noise of a nearly empty tile into grain."""


def optical_density(tile: RgbArray) -> _Floats:
    """−ln of transmittance per channel (Beer-Lambert): proportional to the amount of stain; 0 where white."""
    return -np.log((tile.astype(np.float64) + 1.0) / 256.0)


def from_optical_density(density: _Floats) -> RgbArray:
    """Inverse of ``optical_density``, clipped to uint8."""
    return to_uint8(256.0 * np.exp(-density) - 1.0)


def hed_jitter(tile: RgbArray, sigma: float, generator: np.random.Generator) -> RgbArray:
    """Haematoxylin, eosin and DAB each times a factor of 1 − sigma to 1 + sigma (Tellez 2018, 10.1109/TMI.2018.2820199).

    Without Tellez' shift, which would tint clear glass, and without cutting off negative amounts, which would take the
    orange from Pap: any colour is a sum of the three vectors (Ruifrok and Johnston 2001), also of stains that are not H&E.

    Args:
        tile: uint8 RGB, shape [side, side, 3]; not changed.
        sigma: Half the range of the factors, 0 to 1; in the paper 0.05 (light) and 0.2 (strong).
        generator: Draws three numbers.
    """
    factors = generator.uniform(1 - sigma, 1 + sigma, 3)
    return from_optical_density(optical_density(tile) @ (hed_from_rgb * factors) @ rgb_from_hed)


def change_light(tile: RgbArray, exposure: float, white_balance: float) -> RgbArray:
    """Other exposure and white balance, in linear light.

    Args:
        tile: uint8 RGB, shape [side, side, 3]; not changed.
        exposure: In stops: light times 2 to this power.
        white_balance: In stops: red up and blue down by so much (warmer), or the other way round.
    """
    gains = 2.0 ** (exposure + white_balance * np.array([1.0, 0.0, -1.0]))
    value = np.arange(256)[:, None] / 255.0  # sRGB to linear light and back: IEC 61966-2-1
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) * gains
    light = np.clip(light, 0.0, 1.0)
    table = to_uint8(255.0 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055))
    return cast(RgbArray, cv2.LUT(np.ascontiguousarray(tile), table[None]))


@dataclass(frozen=True)
class LabStatistics:
    """Colours of the stained pixels of training slides in CIELAB: what RandStainNA draws from.

    Attributes:
        by_slide: Mean and standard deviation of L, a, b per slide, each shape [2, 3].
        centre: Their mean over slides, shape [2, 3].
        spread: Their standard deviation over slides, shape [2, 3].
    """

    by_slide: dict[str, _Floats]
    centre: _Floats
    spread: _Floats


def lab_statistics(tiles: Iterable[tuple[str, RgbArray]]) -> LabStatistics | None:
    """Statistics of slides; None without a slide that has stained pixels.

    Args:
        tiles: Slide and uint8 RGB pixels [side, side, 3] of each tile.
    """
    sums: dict[str, _Floats] = {}  # count, sum and sum of squares per slide
    for slide, tile in tiles:
        own = _lab(tile)[optical_density(tile).mean(axis=2) > _STAINED].astype(np.float64)
        part = np.stack([np.full(3, float(len(own))), own.sum(axis=0), (own**2).sum(axis=0)])
        sums[slide] = sums.get(slide, np.zeros((3, 3))) + part
    found: dict[str, _Floats] = {}
    for slide, (count, total, squares) in sums.items():
        if count[0] > 0:
            mean = total / count
            found[slide] = np.stack([mean, np.sqrt(np.maximum(squares / count - mean**2, 0.0))])
    if not found:
        return None
    values = np.stack(list(found.values()))
    return LabStatistics(found, values.mean(axis=0), values.std(axis=0))


def rand_stain_na(
    tile: RgbArray, slide: str, statistics: LabStatistics, spread: float, generator: np.random.Generator
) -> RgbArray:
    """The tile in the colours of a slide that is drawn at random (RandStainNA: Shen 2022, arXiv:2206.12694).

    Mean and spread of L, a, b are drawn from normal distributions fitted to the training slides, and the tile is moved from
    its slide's to these (Reinhard 2001). Unlike in the paper they are of a slide's stained pixels and not of whole tiles,
    which in sparse specimens would say how much of a tile is empty; clear glass is left as it is.

    Args:
        tile: uint8 RGB, shape [side, side, 3]; not changed.
        slide: Its slide; the tile is returned as it is where that has no statistics.
        statistics: Of the training slides.
        spread: Factor of the standard deviations over slides; 1 varies as the training slides do.
        generator: Draws six numbers.
    """
    drawn = generator.normal(statistics.centre, spread * statistics.spread)
    own = statistics.by_slide.get(slide)
    if own is None:
        return tile
    ratio = np.clip(np.maximum(drawn[1], 0.0) / np.maximum(own[1], 1e-3), 1 / _MAX_RATIO, _MAX_RATIO)
    lab = _lab(tile)
    moved = ((lab - own[0]) * ratio + drawn[0]).astype(np.float32)
    stained = np.clip(optical_density(tile).mean(axis=2, keepdims=True) / _STAINED, 0.0, 1.0)
    return to_uint8(
        255.0 * cv2.cvtColor((lab + stained * (moved - lab)).astype(np.float32), cv2.COLOR_LAB2RGB)
    )


def _lab(tile: RgbArray) -> npt.NDArray[np.float32]:
    """CIELAB under D65: L 0 to 100."""
    return cast(
        "npt.NDArray[np.float32]",
        cv2.cvtColor(tile.astype(np.float32) / np.float32(255.0), cv2.COLOR_RGB2LAB),
    )


def to_uint8(values: npt.NDArray[np.floating]) -> RgbArray:
    """Grey levels of 0 to 255, rounded and clipped."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
