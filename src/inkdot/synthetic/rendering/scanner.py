"""Scanner: from optical density to pixels."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.records import RgbArray
from inkdot.synthetic.cells.scene import OdArray

HALO_PX = 4
"""Margin in pixels that sharpening and colour shift need around a tile."""

_NOISE_SIDE_PX = 640
_FIELD_PX = 256
_LN10 = np.float32(np.log(10.0))


@dataclass(frozen=True, slots=True)
class Scanner:
    """Properties of a scanner (SYNTHETIC.md B6).

    Attributes:
        name: Name in the slide table.
        native_mpp: Native micrometres per pixel.
        gamma: Exponent on relative intensity; 1 is linear.
        sharpening: Weight of the unsharp mask.
        blur_um: Sigma of the point spread function in µm.
        colour_shift_px: Shift between red and blue in pixels (lateral chromatic aberration).
        noise: Sigma of the sensor noise in grey levels.
        shading: Remaining vignetting: darkening of the corners of a field as a fraction (0 to 1).
        jpeg_quality: 1 to 100.
        subsampling: JPEG chroma subsampling, ``420`` or ``444``.
    """

    name: str
    native_mpp: float
    gamma: float
    sharpening: float
    blur_um: float
    colour_shift_px: float
    noise: float
    shading: float
    jpeg_quality: int
    subsampling: Literal["420", "444"]


def scanner_number(number: int) -> Scanner:
    """Properties of a scanner by its number, equal in all cohorts."""
    rng = np.random.default_rng([0x5CA7, number])
    mpp = (0.2506, 0.2301, 0.2200, 0.4990)[number % 4]
    return Scanner(
        name=f"synthetic-scanner-{'ABCDEFGH'[number % 8]}",
        native_mpp=mpp,
        gamma=float(rng.uniform(0.9, 1.1)),
        sharpening=float(rng.uniform(0.0, 0.6)),
        blur_um=float(rng.uniform(0.15, 0.35)),
        colour_shift_px=float(rng.uniform(0.0, 0.6)),
        noise=float(rng.uniform(1.0, 3.0)),
        shading=float(rng.uniform(0.0, 0.008)),
        jpeg_quality=int(rng.choice([60, 75, 90])),
        subsampling="444" if number % 2 else "420",
    )


class Sensor:
    """Convert optical density to pixels of one slide.

    Args:
        scanner: Scanner properties.
        white: Colour of empty glass, float32 [3], 0 to 255.
        rng: Random generator of the noise.
    """

    def __init__(self, scanner: Scanner, white: npt.NDArray[np.float32], rng: np.random.Generator) -> None:
        self._scanner = scanner
        self._white = (255.0 * (white / 255.0) ** scanner.gamma).astype(np.float32)
        noise = rng.standard_normal((_NOISE_SIDE_PX, _NOISE_SIDE_PX, 3), dtype=np.float32)
        grain = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.6), np.float32)
        self._noise = grain * np.float32(scanner.noise / grain.std())
        self._flat = _flat_field(scanner.shading)

    def expose(self, od: OdArray, seed: int) -> RgbArray:
        """Give the pixels of a tile.

        Args:
            od: Optical density with a halo of ``HALO_PX`` on every side; overwritten.
            seed: Selects the noise.

        Returns:
            uint8 RGB without the halo.
        """
        # Beer-Lambert with gamma g: (w 10^-d)^g = w^g 10^-(g d).
        od *= -_LN10 * np.float32(self._scanner.gamma)
        light = np.exp(od, out=od)
        light *= self._white
        self._shift_colours(light)
        if self._scanner.sharpening > 0.0:
            soft = cv2.GaussianBlur(light, (0, 0), 1.0)
            light += np.float32(self._scanner.sharpening) * (light - soft)
        inner = light[HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]
        height, width = inner.shape[:2]
        x = seed * 7919 % (_NOISE_SIDE_PX - width)
        y = seed * 104729 % (_NOISE_SIDE_PX - height)
        noisy = inner * self._flat[:height, :width]
        noisy += self._noise[y : y + height, x : x + width]
        noisy += 0.5
        return np.clip(noisy, 0.0, 255.0, out=noisy).astype(np.uint8)

    def _shift_colours(self, light: OdArray) -> None:
        """Move red left and blue right by half the colour shift, by linear interpolation."""
        part = np.float32(self._scanner.colour_shift_px / 2.0)
        if part <= 0.0:
            return
        light[:, :-1, 0] += part * (light[:, 1:, 0] - light[:, :-1, 0])
        light[:, 1:, 2] -= part * (light[:, 1:, 2] - light[:, :-1, 2])


def _flat_field(shading: float) -> npt.NDArray[np.float32]:
    """Remaining vignetting, [256, 256, 3]; one field of view per tile, so that all empty tiles are equal."""
    wave = np.cos((np.arange(_FIELD_PX) + 0.5) / _FIELD_PX * 2.0 * np.pi, dtype=np.float64)
    corner = 0.25 * (2.0 + wave[:, None] + wave[None, :])  # 1 in the corners, 0 in the middle
    return np.repeat((1.0 - shading * corner)[..., None], 3, axis=2).astype(np.float32)
