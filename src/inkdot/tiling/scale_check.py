"""Check of a slide's scale by its red cells, in a few small windows. Needs no scale, and changes none."""

from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.errors import NotBrightFieldError
from inkdot.geometry import plan_rectangle
from inkdot.morphometry.red_cell_reference import RedCellReference, red_cell_reference
from inkdot.morphometry.red_cells import LARGEST_PX, find_red_cells
from inkdot.records import MaskArray, Preparation, Slide
from inkdot.tiling.foreground.glass import OD_STEP, Glass, glass_of_pixels

WINDOWS: Final = 48
"""Windows that are read at most."""

WINDOW_SIDE_PX: Final = 512
"""Their side in level-0 pixels, at whole multiples of it: whole tiles of the file."""

_THUMBNAIL_PX = 2048
_SMALL_LEVEL_PX = (1024, 4096)
_GLASS_STEP = 23  # every 23rd pixel of the thumbnail tells the colour of glass
_STAINED_OD = 0.04
_REGIONS_PER_AXIS = 7
_LEAST_COMPACT = 0.6  # of the bounding box: a circle fills 0.79 of it
# Of a compact object: where the mask is too coarse to show any, windows with many specks.
_OTHER_WEIGHT = 0.02


def scale_warnings(slide: Slide, red_cells: RedCellReference) -> tuple[str, ...]:
    """Warn where red cells are too large or too small at the slide's stated scale; empty where they are not."""
    warning = red_cells.warning(mean_mpp(slide))
    return (warning,) if warning else ()


def mean_mpp(slide: Slide) -> float:
    """µm per level-0 pixel of both axes together, as a diameter from an area has it."""
    return float(np.sqrt(slide.info.mpp.x * slide.info.mpp.y))


def measure_red_cells(slide: Slide, preparation: Preparation | None) -> RedCellReference:
    """Measure the red cells of a slide in level-0 pixels; its scale may be unknown or wrong and is not used.

    About a third of a CPU second on a slide with a level of 1,024 to 4,096 pixels; others are read once for a thumbnail.

    Args:
        slide: The slide.
        preparation: Kind of slide; sections give no reference.

    Raises:
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    if preparation == "section":
        return RedCellReference(0, reason="red cells of sections are cut")
    least, most = _SMALL_LEVEL_PX
    sides = [max(size) for size in slide.info.level_sizes_px if least <= max(size) <= most]
    thumbnail = slide.thumbnail(min(sides, default=_THUMBNAIL_PX))
    try:
        glass = glass_of_pixels(thumbnail.reshape(-1, 3)[::_GLASS_STEP])
    except NotBrightFieldError:
        return RedCellReference(0, reason="not a bright-field slide")
    if not glass.found:
        return RedCellReference(0, reason="no empty glass")
    stained = cv2.LUT(thumbnail, glass.od_table()).max(axis=2) > round(_STAINED_OD / OD_STEP)
    width, height = slide.info.size_l0_px
    corners = _windows(stained, (width / thumbnail.shape[1], height / thumbnail.shape[0]))
    return _measure(slide, corners, glass)


def _measure(slide: Slide, corners: list[tuple[int, int]], glass: Glass) -> RedCellReference:
    diameters: list[list[float]] = []
    for x, y in corners:
        pixels = slide.read(plan_rectangle(slide.info, 0, x, y, WINDOW_SIDE_PX, WINDOW_SIDE_PX))
        diameters.append([cell.diameter_px for cell in find_red_cells(pixels, glass.rgb)])
    return red_cell_reference(diameters)


def _windows(mask: MaskArray, step_l0_px: tuple[float, float]) -> list[tuple[int, int]]:
    """Corners (x, y) of windows in level-0 pixels, row by row: those with most compact objects, from all over the slide.

    Args:
        mask: What is not glass.
        step_l0_px: Level-0 pixels per mask pixel along x and y.
    """
    _, _, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    _, _, width, height, area = cast("npt.NDArray[np.int32]", stats).T
    long, short = np.maximum(width, height), np.minimum(width, height)
    small = long * max(step_l0_px) <= max(LARGEST_PX, 2.0 * max(step_l0_px))
    small[0] = False  # the glass
    if not small.any():
        return []
    compact = (short >= 2) & (long <= 1.5 * short) & (area >= _LEAST_COMPACT * width * height)
    weight = np.where(compact, 1.0, _OTHER_WEIGHT)[small]
    at = cast("npt.NDArray[np.float64]", centres)[small] * step_l0_px
    window, index = np.unique((at // WINDOW_SIDE_PX).astype(np.int64), axis=0, return_inverse=True)
    count = cast("npt.NDArray[np.float64]", np.bincount(index.ravel(), weight))
    extent = window.max(axis=0) + 1
    region = window * _REGIONS_PER_AXIS // extent @ np.array([1, _REGIONS_PER_AXIS])
    # Rank in its own region first: the fullest window of every region, then the second of every region.
    order = np.lexsort((-count, region))
    in_order = region[order]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(in_order, in_order)
    chosen = np.sort(np.lexsort((-count, rank))[:WINDOWS])
    by_row = chosen[np.lexsort((window[chosen, 0], window[chosen, 1]))]
    return [(int(x), int(y)) for x, y in window[by_row] * WINDOW_SIDE_PX]
