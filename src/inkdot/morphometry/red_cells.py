"""Red cells of a window: pale, round, sharp discs in the colour of haemoglobin, measured in pixels.

No scale is needed: discs of 8 to 90 pixels are considered, and everything else is relative to the disc.
"""

from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.morphometry.arrays import Plane
from inkdot.morphometry.half_maximum import HALF_MAXIMUM
from inkdot.morphometry.stain_planes import blurred, optical_density
from inkdot.records import MaskArray, RgbArray

SMALLEST_PX: Final = 8
"""Least diameter in pixels. Smaller specks (stain precipitate, platelets) are too few pixels to tell a disc."""

LARGEST_PX: Final = 90
"""Largest diameter in pixels: a red cell at 0.08 µm/px, the finest plausible scale."""

_SMOOTHING_PX = 0.8
_STAINED_OD = 0.05
_LEAST_OD = 0.08  # paler: ghosts, whose edge is uncertain
_LARGEST_ASPECT = 1.25
_LEAST_SOLIDITY = 0.93  # crenated cells have 0.94 to 0.98, smooth ones 0.99
_LEAST_CIRCULARITY = 0.85
_LARGEST_BLUR = 0.2
_RING_FRACTION = 0.3
_LARGEST_RING_OD = 0.06

# Haemoglobin absorbs blue most, then green, hardly any red. In Pap (eosin, orange G) the ratio red to green is 0.44 to
# 0.76. In May-Grünwald-Giemsa it is 0.73 to 0.88, no less than in nuclei; but blue is 0.66 to 0.73 of green and in
# nuclei about 0.5, and the cells are pale. Pale nuclei in haematoxylin-eosin have 0.4 to 0.5 and 0.61 to 0.66: neither.
# Measured on labels by eye, docs/explanation/decisions/0168.
_PAP_RED, _PAP_BLUE = 0.75, 0.70
_MGG_RED, _MGG_BLUE, _MGG_NUCLEAR_OD = (0.55, 0.90), 0.62, 0.28

_Contour = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class RedCell:
    """A red cell in a window.

    Attributes:
        x_px: Centre in pixels from the left edge.
        y_px: Centre in pixels from the top edge.
        diameter_px: Diameter in pixels of a circle of the same area, at the half maximum.
    """

    x_px: float
    y_px: float
    diameter_px: float


def find_red_cells(rgb: RgbArray, glass: tuple[float, float, float]) -> list[RedCell]:
    """Find isolated red cells that lie whole in a window.

    Crenated cells and cells with a pale centre count. Cells that touch others, are blurred, oval, ghosts or on a stained
    background do not: a reference needs few cells, measured well.

    Args:
        rgb: Shape [height, width, 3].
        glass: Colour of the slide's empty glass, 0 to 255.
    """
    density = optical_density(rgb, glass)
    green = blurred(np.ascontiguousarray(density[..., 1]), _SMOOTHING_PX)
    height, width = green.shape
    found: list[RedCell] = []
    for contour in _contours(green > _STAINED_OD):
        x, y, w, h = cv2.boundingRect(contour)
        whole = x > 1 and y > 1 and x + w < width - 1 and y + h < height - 1
        if not whole or min(w, h) < SMALLEST_PX or max(w, h) > LARGEST_PX * 1.2:
            continue
        if max(w, h) > 1.4 * min(w, h):
            continue
        margin = round(_RING_FRACTION * max(w, h)) + 2
        left, top = max(0, x - margin), max(0, y - margin)
        part = slice(top, y + h + margin), slice(left, x + w + margin)
        diameter = _diameter_px(contour - np.array([left, top], np.int32), density[part], green[part])
        if diameter is not None:
            found.append(RedCell(x + w / 2, y + h / 2, diameter))
    return found


def _diameter_px(contour: _Contour, density: Plane, green: Plane) -> float | None:
    """Diameter of one disc; None where it is no red cell."""
    whole = _filled(contour, green)
    peak = float(np.percentile(green[whole], 70))  # the rim: the centre may be pale
    if peak < _LEAST_OD:
        return None
    outlines = [_largest(whole & (green > share * peak)) for share in (0.3, HALF_MAXIMUM, 0.7)]
    if any(outline is None for outline in outlines):
        return None
    wide, half, narrow = (cast(_Contour, outline) for outline in outlines)
    if not _is_disc(half):
        return None
    diameters = [_equivalent_diameter(outline) for outline in (wide, half, narrow)]
    if diameters[0] - diameters[2] > _LARGEST_BLUR * diameters[1]:
        return None
    if not SMALLEST_PX <= diameters[1] <= LARGEST_PX or not _on_glass(whole, green, diameters[1]):
        return None
    return diameters[1] if _haemoglobin(density[_filled(half, green)]) else None


def _is_disc(outline: _Contour) -> bool:
    area = cv2.contourArea(outline)
    if len(outline) < 5 or area < 0.25 * SMALLEST_PX**2:
        return False
    if area < _LEAST_SOLIDITY * cv2.contourArea(cv2.convexHull(outline)):
        return False
    # The steps of a pixelated outline would lengthen it.
    perimeter = cv2.arcLength(cv2.approxPolyDP(outline, 0.6, closed=True), closed=True)
    if 4.0 * np.pi * area < _LEAST_CIRCULARITY * perimeter**2:
        return False
    _, (one, other), _ = cv2.fitEllipse(outline)
    return max(one, other) <= _LARGEST_ASPECT * min(one, other)


def _on_glass(disc: MaskArray, green: Plane, diameter_px: float) -> bool:
    """Whether most of what surrounds the disc is empty: in tissue and crowded cells, nuclei are discs too."""
    side = 2 * max(2, round(0.2 * diameter_px)) + 1
    near = cv2.dilate(disc.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    ring = near & ~disc
    return bool(np.median(green[ring]) < _LARGEST_RING_OD)


def _haemoglobin(pixels: Plane) -> bool:
    """Whether optical densities [n, 3] have the colour of a red cell in Pap, or in May-Grünwald-Giemsa."""
    red, green, blue = pixels.mean(axis=0)
    if red <= _PAP_RED * green and blue >= _PAP_BLUE * green:
        return True
    if not _MGG_RED[0] * green <= red <= _MGG_RED[1] * green or blue < _MGG_BLUE * green:
        return False
    return float(np.percentile(pixels[:, :2].min(axis=1), 90)) <= _MGG_NUCLEAR_OD


def _equivalent_diameter(outline: _Contour) -> float:
    # A contour runs through the centres of its pixels: half of each lies outside.
    return float(np.sqrt((cv2.contourArea(outline) + 0.5 * len(outline) + 1.0) * 4.0 / np.pi))


def _filled(outline: _Contour, like: Plane) -> MaskArray:
    image = np.zeros(like.shape, np.uint8)
    return cv2.drawContours(image, [outline], -1, 1, cv2.FILLED) > 0


def _largest(mask: MaskArray) -> _Contour | None:
    return max(_contours(mask), key=cv2.contourArea, default=None)


def _contours(mask: MaskArray) -> list[_Contour]:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return list(cast("tuple[_Contour, ...]", contours))
