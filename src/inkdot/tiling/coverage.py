"""How much of a rectangle of the slide a mask covers: exact, by a summed-area table."""

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.records import MaskArray
from inkdot.tiling.foreground.mask_frame import MaskFrame


def covered_fraction(
    mask: MaskArray,
    frame: MaskFrame,
    x_l0_px: npt.NDArray[np.integer],
    y_l0_px: npt.NDArray[np.integer],
    width_l0_px: float,
    height_l0_px: float,
) -> npt.NDArray[np.float64]:
    """Share (0 to 1) of each rectangle's area that lies in the mask; what lies beyond the mask is not in it.

    A mask pixel counts by the part of it inside the rectangle, so tiles need not fall on the mask's grid.

    Args:
        mask: Shape [height, width].
        frame: Where the mask lies on the slide.
        x_l0_px: Left edges in level-0 pixels, shape [n].
        y_l0_px: Top edges in level-0 pixels, shape [n].
        width_l0_px: Width of every rectangle in level-0 pixels.
        height_l0_px: Height of every rectangle in level-0 pixels.

    Returns:
        Shape [n].
    """
    sums = cast("npt.NDArray[np.int32]", cv2.integral(mask.astype(np.uint8), sdepth=cv2.CV_32S))
    left = (x_l0_px.astype(np.float64) - frame.x_l0_px) / frame.step_x_l0_px
    top = (y_l0_px.astype(np.float64) - frame.y_l0_px) / frame.step_y_l0_px
    width, height = width_l0_px / frame.step_x_l0_px, height_l0_px / frame.step_y_l0_px
    right, bottom = left + width, top + height
    area = (
        _sum_before(sums, right, bottom)
        - _sum_before(sums, left, bottom)
        - _sum_before(sums, right, top)
        + _sum_before(sums, left, top)
    )
    return np.clip(area / (width * height), 0.0, 1.0)


def _sum_before(
    sums: npt.NDArray[np.integer], x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Area of the mask left of x and above y: between the table's whole pixels the sum is bilinear, exactly."""
    rows, columns = sums.shape
    x, y = np.clip(x, 0.0, columns - 1.0), np.clip(y, 0.0, rows - 1.0)
    column, row = np.minimum(x.astype(np.intp), columns - 2), np.minimum(y.astype(np.intp), rows - 2)
    dx, dy = x - column, y - row
    upper = sums[row, column] * (1.0 - dx) + sums[row, column + 1] * dx
    lower = sums[row + 1, column] * (1.0 - dx) + sums[row + 1, column + 1] * dx
    return upper * (1.0 - dy) + lower * dy
