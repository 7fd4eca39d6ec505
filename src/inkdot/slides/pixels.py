"""Operations on pixel arrays: windows padded with white, alpha blending on white, downscaling by area means."""

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.records import RgbArray

WHITE = 255
_MOST_PIXELS_AT_ONCE = 32 * 2**20


def window(level: RgbArray, x_px: int, y_px: int, width_px: int, height_px: int) -> RgbArray:
    """Cut a rectangle out of an array [height, width, 3], in its own pixels; white beyond the array."""
    out = np.full((height_px, width_px, 3), WHITE, np.uint8)
    rows, columns = level.shape[:2]
    x0, x1 = max(x_px, 0), min(x_px + width_px, columns)
    y0, y1 = max(y_px, 0), min(y_px + height_px, rows)
    if x0 < x1 and y0 < y1:
        out[y0 - y_px : y1 - y_px, x0 - x_px : x1 - x_px] = level[y0:y1, x0:x1]
    return out


def on_white(rgba: npt.NDArray[np.uint8]) -> RgbArray:
    """Blend pixels [height, width, 4] with straight alpha on white, the colour of empty glass."""
    alpha = rgba[..., 3:]
    if alpha.min(initial=WHITE) == WHITE:
        return np.ascontiguousarray(rgba[..., :3])
    weight = alpha.astype(np.uint16)
    blended = (rgba[..., :3] * weight + WHITE * (WHITE - weight) + WHITE // 2) // WHITE
    return blended.astype(np.uint8)


def fitted_size(size_px: tuple[int, int], max_side_px: int) -> tuple[int, int]:
    """Scale a width and height down so that the longer side is at most ``max_side_px``; smaller ones are kept."""
    shrink = min(1.0, max_side_px / max(size_px))
    return max(1, round(size_px[0] * shrink)), max(1, round(size_px[1] * shrink))


def shrunk(
    size_px: tuple[int, int], read: Callable[[int, int, int, int], RgbArray], max_side_px: int
) -> RgbArray:
    """Downscale an image of any size by area means, reading it in strips to save memory.

    Args:
        size_px: Width and height of the image.
        read: Returns the rectangle (x, y, width, height) of it, uint8 RGB.
        max_side_px: Longest side of the result.
    """
    width, height = size_px
    target = fitted_size(size_px, max_side_px)
    # First by an integer factor in strips, then by the remaining factor at once. A remainder at the right and lower edge,
    # less than one pixel of the result, is dropped.
    factor = max(1, min(width // target[0], height // target[1]))
    rows, columns = height // factor, width // factor
    step = max(1, _MOST_PIXELS_AT_ONCE // (width * factor))
    reduced = np.empty((rows, columns, 3), np.uint8)
    for row in range(0, rows, step):
        count = min(step, rows - row)
        strip = read(0, row * factor, columns * factor, count * factor)
        reduced[row : row + count] = resized(strip, (columns, count))
    return resized(reduced, target)


def resized(rgb: RgbArray, size_px: tuple[int, int]) -> RgbArray:
    """Resize by area means to a width and height."""
    if (rgb.shape[1], rgb.shape[0]) == size_px:
        return rgb
    return cast(RgbArray, cv2.resize(rgb, size_px, interpolation=cv2.INTER_AREA))
