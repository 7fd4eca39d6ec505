"""Objects that hold no nucleus: dust, red cells, and grains of precipitated stain."""

from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.tiling.foreground.foreground_classes import ForegroundClass
from inkdot.tiling.foreground.glass import OD_STEP
from inkdot.tiling.foreground.stain_map import Bytes, Planes

PRECIPITATE_MASS: Final = 9.0
"""Most dye in a grain: optical density in the lighter of red and green, summed over its area in µm².

Defocus spreads a grain, and it then has the width of a small cell; but it holds as much dye as before, half of what
the smallest lymphocyte holds (5.8 µm at an optical density of 0.7 is 18). Larger grains pass for cells here.
"""

RED_CELL_UM2: Final = 36.0
"""Minimum stained area of a red cell in µm²: a disc of 6.8 µm. Grains are smaller, and darker where they are large."""

_PRECIPITATE_UM = 14.0
_DARK_OD = 0.06
_FAINTEST = 16.0  # a part of so many times the area in mask pixels is large, however thinly they are covered
_LEAST_RED = 0.6  # of green: dyes of nuclei absorb both, red cells hardly any red
_RED_CELL_OD = 0.2  # mean, in the lighter of red and green
_RED_CELL_FILL = 0.36  # stained area, of that of its mask pixels: shreds fill less


def label_specks(classes: Bytes, planes: Planes, min_object_um: float) -> None:
    """Label parts of the foreground that are too small, and those that are red cells or grains of stain, in place.

    Args:
        classes: :class:`ForegroundClass` per mask pixel.
        planes: The slide at the scale of the mask.
        min_object_um: Parts narrower than this are specks.
    """
    mpp = planes.frame.mpp
    kept = (classes == ForegroundClass.FOREGROUND).astype(np.uint8)
    count, components, stats, _ = cast(
        "tuple[int, npt.NDArray[np.int32], npt.NDArray[np.int32], object]",
        cv2.connectedComponentsWithStats(kept, connectivity=8),
    )
    # Only small parts are processed by pixel: a table of all foreground would exceed the memory.
    widest_um = max(min_object_um, _PRECIPITATE_UM)
    is_small = stats[:, cv2.CC_STAT_AREA] * mpp**2 <= _FAINTEST * 0.25 * np.pi * widest_um**2
    is_small[0] = False
    where = np.nonzero(is_small[components])
    which = components[where]
    areas_um2 = np.bincount(which, weights=planes.stained[where], minlength=count) * (mpp**2 / 255.0)
    # Width of a disc of the same area: a thin septum of fat tissue is narrow, but no dust.
    widths_um = 2.0 * np.sqrt(areas_um2 / np.pi)
    is_speck = is_small & (widths_um < min_object_um)
    table = planes.glass.od_table()[0]
    tone = planes.tone[where]
    red, green = table[tone[:, 0], 0], table[tone[:, 1], 1]
    nuclear = np.minimum(red, green) * OD_STEP
    mass = np.bincount(which, weights=nuclear, minlength=count) * mpp**2
    # Red cells and pale debris hold little of this dye too, but are red, or not dark anywhere.
    reds, greens = (np.bincount(which, weights=plane, minlength=count) for plane in (red, green))
    darkest = np.zeros(count)
    np.maximum.at(darkest, which, nuclear)
    is_grain = (mass < PRECIPITATE_MASS) & (darkest >= _DARK_OD) & (reds >= _LEAST_RED * greens)
    is_grain &= is_small & (widths_um < _PRECIPITATE_UM) & ~is_speck
    classes[is_speck[components]] = ForegroundClass.SPECK
    footprints_um2 = stats[:, cv2.CC_STAT_AREA] * mpp**2
    is_red_cell = is_grain & (areas_um2 >= RED_CELL_UM2) & (areas_um2 >= _RED_CELL_FILL * footprints_um2)
    is_red_cell &= mass <= _RED_CELL_OD * areas_um2
    classes[(is_grain & ~is_red_cell)[components]] = ForegroundClass.PRECIPITATE
    classes[is_red_cell[components]] = ForegroundClass.RED_CELL
