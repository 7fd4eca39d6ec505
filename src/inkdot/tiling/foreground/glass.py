"""Colour and noise of the empty glass of a slide, from small samples spread over it.

Optical density (OD) is log10(glass / pixel) per channel: 0 on empty glass, additive in the stain.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from inkdot.errors import NotBrightFieldError
from inkdot.geometry import plan_rectangle, scanned_bounds
from inkdot.records import RgbArray, Slide

OD_STEP: Final = 0.01
"""Unit of optical densities stored as uint8, which saturate at 2.55."""

_WINDOWS_PER_AXIS = 16
_WINDOW_SIDE_PX = 64
_FILL = 255  # scanners fill areas outside of the scan with exact white
_DARKEST_GLASS = 150
_LARGEST_TINT = 30  # grey levels between channels: halogen light is yellowish, old mounting media are pink
_NEAR_BRIGHTEST = 0.88  # of the brightest pixels: pale tissue is darker than glass
_SMALLEST_SHARE = 0.002
_ASSUMED_GLASS = 245.0
_DIMMEST_BRIGHT_FIELD = 85
# Photographs are often underexposed or have a wrong white balance.
_DARKEST_PHOTOGRAPHED_GLASS = 85
_LARGEST_LAMP_TINT = 64
_SHARE_IN_PHOTOGRAPHS = 0.05


@dataclass(frozen=True, slots=True)
class Glass:
    """Empty glass of one slide.

    Attributes:
        rgb: Grey level of each channel, 0 to 255.
        noise_od: Standard deviation of the optical density of glass at the sampled level.
        found: False where there is no glass (tissue from edge to edge) and ``rgb`` is assumed.
    """

    rgb: tuple[float, float, float]
    noise_od: float
    found: bool

    def od_table(self) -> npt.NDArray[np.uint8]:
        """Look-up table, shape [1, 256, 3]: grey level to OD in units of :data:`OD_STEP`."""
        levels = np.maximum(np.arange(256, dtype=np.float64), 1.0)[:, None]
        od = np.log10(np.asarray(self.rgb)[None, :] / levels) / OD_STEP
        return np.clip(np.rint(od), 0, 255).astype(np.uint8)[None]


def find_glass(slide: Slide, level: int) -> Glass:
    """Find colour and noise of the empty glass at one level.

    Raises:
        NotBrightFieldError: No bright pixels: not a bright-field slide.
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    pixels = np.concatenate([window.reshape(-1, 3) for window in _sample_windows(slide, level)])
    fill = np.all(pixels == _FILL, axis=1)
    if np.count_nonzero(fill) >= _SMALLEST_SHARE * pixels.shape[0]:
        scanned = pixels[~fill]
        glass = glass_of_pixels(scanned) if _any_bright(scanned) else None
        # Exact white is the only glass: a drawing, or a scan of the tissue alone.
        return glass if glass and glass.found else Glass((255.0, 255.0, 255.0), noise_od=0.0, found=True)
    return glass_of_pixels(pixels)


def glass_of_pixels(pixels: npt.NDArray[np.uint8]) -> Glass:
    """Find colour and noise of the empty glass among pixels, uint8 RGB [n, 3].

    The mode is used: unlike a percentile it does not depend on the amount of tissue.

    Raises:
        NotBrightFieldError: No bright pixels: not a bright-field slide.
    """
    darkest, brightest = _range_of(pixels)
    top = float(np.quantile(darkest, 0.999))
    if not _any_bright(pixels):
        raise NotBrightFieldError(
            f"expected a bright-field slide, found no pixel brighter than {top:.0f} of 255; "
            "fluorescence slides cannot be used"
        )
    like_glass = (brightest - darkest <= _LARGEST_TINT) & (
        darkest >= max(_DARKEST_GLASS, _NEAR_BRIGHTEST * top)
    )
    least = _SMALLEST_SHARE
    if np.count_nonzero(like_glass) < least * pixels.shape[0]:
        like_glass, least = _photographed_glass(pixels), _SHARE_IN_PHOTOGRAPHS
    if np.count_nonzero(like_glass) < least * pixels.shape[0]:
        return Glass((_ASSUMED_GLASS, _ASSUMED_GLASS, _ASSUMED_GLASS), noise_od=0.0, found=False)
    candidates = pixels[like_glass]
    brightness = candidates.sum(axis=1, dtype=np.int32) // 3
    mode = int(np.bincount(brightness, minlength=256).argmax())
    glass = candidates[np.abs(brightness - mode) <= 8].astype(np.float64)
    rgb = np.median(glass, axis=0)
    od = np.log10(rgb / np.maximum(glass, 1.0))
    noise = 1.4826 * float(np.median(np.abs(od - np.median(od, axis=0)), axis=0).max())
    return Glass((float(rgb[0]), float(rgb[1]), float(rgb[2])), noise_od=noise, found=True)


def _photographed_glass(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Pixels that may be glass of an underexposed photograph or one with a wrong white balance.

    Lamps are bluish or yellowish: green lies between red and blue, never so in eosin and haematoxylin, which absorb
    green most. The brightest tenth is compared, since reflections and hot pixels are brighter than glass.
    """
    red, green, blue = (pixels[:, channel].astype(np.int16) for channel in range(3))
    darkest, brightest = _range_of(pixels)
    tint = brightest - darkest
    between = (green >= np.minimum(red, blue) - 4) & (green <= np.maximum(red, blue) + 4)
    of_a_lamp = (tint <= _LARGEST_TINT) | (between & (tint <= _LARGEST_LAMP_TINT))
    top = float(np.quantile(darkest, 0.9))
    return of_a_lamp & (darkest >= max(_DARKEST_PHOTOGRAPHED_GLASS, _NEAR_BRIGHTEST * top))


def _range_of(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Darkest and brightest channel of each pixel, shape [n] each; ten times as fast as reducing the axis of channels."""
    red, green, blue = (np.ascontiguousarray(pixels[:, channel]) for channel in range(3))
    return np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)


def _any_bright(pixels: npt.NDArray[np.uint8]) -> bool:
    return bool(pixels.size) and float(np.quantile(_range_of(pixels)[0], 0.999)) >= _DIMMEST_BRIGHT_FIELD


def _sample_windows(slide: Slide, level: int) -> Iterator[RgbArray]:
    info = slide.info
    bounds = scanned_bounds(info)
    side_l0 = _WINDOW_SIDE_PX * info.level_downsamples[level]
    for y in _window_starts(bounds.y_l0_px, bounds.height_l0_px, side_l0):
        for x in _window_starts(bounds.x_l0_px, bounds.width_l0_px, side_l0):
            width = min(side_l0, bounds.width_l0_px)
            height = min(side_l0, bounds.height_l0_px)
            yield slide.read(plan_rectangle(info, level, x, y, width, height))


def _window_starts(start: int, length: int, side: float) -> list[int]:
    """Starts of the windows along an axis: without gaps over a short one, evenly spread over a long one."""
    count = max(1, math.ceil(length / side))
    free = max(0.0, length - side)
    if count > _WINDOWS_PER_AXIS:
        return [start + round(free * (index + 0.5) / _WINDOWS_PER_AXIS) for index in range(_WINDOWS_PER_AXIS)]
    return [start + round(free * index / max(1, count - 1)) for index in range(count)]
