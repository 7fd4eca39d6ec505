"""Areas without pixels in the file: not assessable, and a sign of damage where another level shows stain there.

Scanners may leave out tiles that show nothing. Coarser levels are made from finer ones, so a stain on one level where
another one is empty means that tiles were lost. Readers fill empty areas with white, which looks like glass.
"""

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np

from inkdot.errors import UnreadableSlideError
from inkdot.geometry import plan_rectangle, scanned_bounds
from inkdot.records import EmptyArea, MaskArray, Slide, SlideInfo
from inkdot.tiling.foreground.foreground_classes import ForegroundClass
from inkdot.tiling.foreground.mask_frame import MaskFrame
from inkdot.tiling.foreground.stain_map import Bytes, Planes, absorbing

_EDGE_PX: Final = 2
"""Rim of an empty area, in pixels of the mask or level: blurred from its neighbours on coarser levels."""

_STAINED_FRACTION: Final = 0.005  # of one cell of the grid: half a lymphocyte in a tile of 64 µm


def label_empty_area(classes: Bytes, planes: Planes, slide: Slide) -> None:
    """Mark as ``NO_PIXELS`` what some level lacks in the file; outside of the spot stays outside.

    Args:
        classes: Class of each mask pixel, changed in place.
        planes: The slide at the scale of the mask.
        slide: The slide, for levels that were not read for the mask.

    Raises:
        UnreadableSlideError: A level lacks pixels where another one shows stain.
    """
    areas = {area.level: area for area in slide.info.empty}
    if not areas:
        return
    masks = {level: _on_mask(area, planes.frame) for level, area in areas.items()}
    seen = ~masks.get(planes.level, np.zeros_like(classes, np.bool_))
    kernel = np.ones((2 * _EDGE_PX + 1, 2 * _EDGE_PX + 1), np.uint8)
    for level, mask in masks.items():
        inside = cv2.erode((mask & seen).astype(np.uint8), kernel, borderValue=1) > 0
        if (inside & (classes == ForegroundClass.FOREGROUND)).any():
            raise _lost(slide, areas[level], planes.level)
    for area in areas.values():
        # The mask shows neither what lies beyond the stated bounds nor what its own level lacks.
        unseen = area.cells if area.level == planes.level else area.cells & ~_within(area, slide.info)
        _check_cells(slide, area, unseen, areas, planes)
    classes[np.any(list(masks.values()), axis=0) & (classes != ForegroundClass.OUTSIDE)] = (
        ForegroundClass.NO_PIXELS
    )


def _check_cells(
    slide: Slide, area: EmptyArea, cells: MaskArray, areas: Mapping[int, EmptyArea], planes: Planes
) -> None:
    """Read empty cells from another level that has them: the level of the mask, else a finer one, else a coarser one."""
    table, info = planes.glass.od_table(), slide.info
    levels = sorted(range(len(info.level_downsamples)), key=lambda level: (level > planes.level, -level))
    others = [level for level in levels if level != area.level]
    width, height = area.cell_l0_px
    for row, column in np.argwhere(cells).tolist():
        x, y = column * width, row * height
        full = (level for level in others if not _is_empty(areas.get(level), x + width / 2, y + height / 2))
        level = next(full, None)
        if level is None:
            continue
        # Without its rim, which is blurred from its neighbours.
        rim = _EDGE_PX * info.level_downsamples[level]
        right, bottom = min(x + width, info.size_l0_px[0]) - rim, min(y + height, info.size_l0_px[1]) - rim
        left, top = round(x + rim), round(y + rim)
        if right - left < rim or bottom - top < rim:
            continue
        pixels = slide.read(plan_rectangle(info, level, left, top, right - left, bottom - top))
        stained, _ = absorbing(pixels, table, planes.glass.noise_od)
        if stained.mean() > _STAINED_FRACTION:
            raise _lost(slide, area, level)


def _within(area: EmptyArea, info: SlideInfo) -> MaskArray:
    """Cells whose centre lies within the scanned bounds, shape of ``area.cells``."""
    bounds = scanned_bounds(info)
    rows, columns = area.cells.shape
    x = np.arange(columns, dtype=np.float64) * area.cell_l0_px[0] + (area.cell_l0_px[0] / 2 - bounds.x_l0_px)
    y = np.arange(rows, dtype=np.float64) * area.cell_l0_px[1] + (area.cell_l0_px[1] / 2 - bounds.y_l0_px)
    within_x = (x >= 0.0) & (x < bounds.width_l0_px)
    within_y = (y >= 0.0) & (y < bounds.height_l0_px)
    return within_y[:, None] & within_x[None, :]


def _is_empty(area: EmptyArea | None, x_l0_px: float, y_l0_px: float) -> bool:
    if area is None:
        return False
    row = min(int(y_l0_px / area.cell_l0_px[1]), area.cells.shape[0] - 1)
    column = min(int(x_l0_px / area.cell_l0_px[0]), area.cells.shape[1] - 1)
    return bool(area.cells[row, column])


def _on_mask(area: EmptyArea, frame: MaskFrame) -> MaskArray:
    """Mask pixels whose centre lies in an empty cell, shape [height, width] of the mask."""
    x = frame.x_l0_px + (np.arange(frame.width_px) + 0.5) * frame.step_x_l0_px
    y = frame.y_l0_px + (np.arange(frame.height_px) + 0.5) * frame.step_y_l0_px
    rows, columns = area.cells.shape
    column = np.minimum((x / area.cell_l0_px[0]).astype(np.intp), columns - 1)
    row = np.minimum((y / area.cell_l0_px[1]).astype(np.intp), rows - 1)
    return area.cells[row[:, None], column[None, :]]


def _lost(slide: Slide, area: EmptyArea, other: int) -> UnreadableSlideError:
    return UnreadableSlideError(
        f"{slide.info.slide_id}: expected pixels wherever the slide is stained, found {int(area.cells.sum()):,} of "
        f"{area.cells.size:,} tiles of level {area.level} empty, and stain there on level {other}: tiles were lost; "
        "copy or export the slide again"
    )
