"""Protein clots of a cell spot: what is pale, and wider or farther from anything dark than the cytoplasm of a cell."""

from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.tiling.foreground.foreground_classes import ForegroundClass
from inkdot.tiling.foreground.glass import OD_STEP
from inkdot.tiling.foreground.pen_and_folds import disc, opened_by_disc
from inkdot.tiling.foreground.stain_map import Bytes, Planes

CLOT_WIDTH_UM: Final = 40.0
"""Minimum width of the pale sheet of a clot in µm: wider than the cytoplasm on one side of a nucleus."""

CLOT_AREA_UM2: Final = 5_000.0
"""Minimum area of the sheet in µm²: larger than a squame."""

PIECE_AREA_UM2: Final = 300.0
"""Minimum area of a pale piece in µm²: larger than a red cell with its blurred edge."""

SCRAP_AREA_UM2: Final = 64.0
"""Minimum area of a scrap in µm² that is paler than a red cell; what is smaller may be dust."""

_FAINTEST_OD = 0.03  # of the most absorbed channel, averaged over 20 µm: clots have cracks
_AVERAGED_UM = 20.0
# In the lighter of red and green, of a mask pixel: the palest of 249 nucleated cells of real fluid has 0.11.
_PALE_OD = 0.09
_PALEST_OD = 0.06  # 1 of 67 red cells is paler throughout
_NUCLEAR_OD = 0.20
_SHADED_OD = 0.12
_CYTOPLASM_UM = 24.0
_EDGE_UM = 12.0


def label_clots(classes: Bytes, planes: Planes) -> None:
    """Label pale sheets and pale pieces of the foreground as clots, in place. What is darker stays foreground.

    Args:
        classes: :class:`ForegroundClass` per mask pixel, shape [height, width].
        planes: The slide at the scale of the mask.
    """
    mpp = planes.frame.mpp
    kept = (classes == ForegroundClass.FOREGROUND).astype(np.uint8)
    faint, pale, palest, dark = _shades(planes)
    faint &= kept | (classes == ForegroundClass.GLASS)
    sheets = opened_by_disc(faint, CLOT_WIDTH_UM / mpp)
    sheets &= _large(sheets, CLOT_AREA_UM2 / mpp**2)
    sheets = cv2.dilate(sheets, disc(2 * round(_EDGE_UM / mpp) + 1)) & faint
    beside_cells = cv2.dilate(dark & kept & (1 - sheets), disc(2 * round(_CYTOPLASM_UM / mpp) + 1))
    free = kept & (1 - beside_cells)
    pieces = _large(pale & free, PIECE_AREA_UM2 / mpp**2)
    scraps = _large(palest & free, SCRAP_AREA_UM2 / mpp**2)
    classes[((sheets | pieces | scraps) & kept) > 0] = ForegroundClass.CLOT


def _shades(planes: Planes) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """Mask pixels, 0 or 1: stained around and darker nowhere; paler than nuclei; than red cells; as dark as a nucleus."""
    shape = planes.stained.shape
    faint, pale, palest, dark = (np.zeros(shape, np.uint8) for _ in range(4))
    table = planes.glass.od_table()
    side = max(1, round(_AVERAGED_UM / planes.frame.mpp)) | 1
    palest_od, pale_od, shaded_od, nuclear_od = (
        round(od / OD_STEP) for od in (_PALEST_OD, _PALE_OD, _SHADED_OD, _NUCLEAR_OD)
    )
    for start in range(0, shape[0], 1024):
        first, band = max(0, start - side), slice(start, start + 1024)
        red, green, blue = cv2.split(cv2.LUT(planes.tone[first : start + 1024 + side], table))
        nuclear = cv2.min(red, green)
        # Cells are darker than sheets and would spread with the mean.
        most = np.minimum(cv2.max(nuclear, cv2.max(cv2.max(red, green), blue)), nuclear_od).astype(np.float32)
        around = cv2.blur(most, (side, side)) >= _FAINTEST_OD / OD_STEP
        own = slice(start - first, start - first + 1024)
        faint[band] = (around & (nuclear < nuclear_od))[own]
        pale[band] = (nuclear < pale_od)[own]
        palest[band] = (nuclear < palest_od)[own]
        dark[band] = (nuclear >= shaded_od)[own]
    return faint, pale, palest, dark


def _large(mask: Bytes, least_px: float) -> Bytes:
    """The connected parts of a mask with at least that many pixels."""
    _, labels, stats, _ = cast(
        "tuple[int, npt.NDArray[np.int32], npt.NDArray[np.int32], object]",
        cv2.connectedComponentsWithStats(mask, connectivity=8),
    )
    large = stats[:, cv2.CC_STAT_AREA] >= least_px
    large[0] = False
    return large[labels].astype(np.uint8)
