"""Position of a mask on its slide."""

import math
from dataclasses import dataclass

from inkdot.geometry import scanned_bounds
from inkdot.records import SlideInfo
from inkdot.units import Level0Px


@dataclass(frozen=True, slots=True)
class MaskFrame:
    """The grid of a mask over a slide: pixel (column, row) covers a rectangle of level-0 pixels.

    Attributes:
        x_l0_px: Left edge of the mask in level-0 pixels.
        y_l0_px: Top edge of the mask in level-0 pixels.
        step_x_l0_px: Level-0 pixels per mask pixel along x; rarely a whole number.
        step_y_l0_px: The same along y.
        width_px: Columns of the mask.
        height_px: Rows of the mask.
        mpp: Micrometres per mask pixel, on both axes.
    """

    x_l0_px: Level0Px
    y_l0_px: Level0Px
    step_x_l0_px: float
    step_y_l0_px: float
    width_px: int
    height_px: int
    mpp: float


def mask_frame(info: SlideInfo, mask_mpp: float) -> MaskFrame:
    """The mask of a slide's scanned part at ``mask_mpp`` µm per pixel, the far edges rounded outwards."""
    bounds = scanned_bounds(info)
    step_x, step_y = mask_mpp / info.mpp.x, mask_mpp / info.mpp.y
    return MaskFrame(
        x_l0_px=bounds.x_l0_px,
        y_l0_px=bounds.y_l0_px,
        step_x_l0_px=step_x,
        step_y_l0_px=step_y,
        width_px=max(1, math.ceil(bounds.width_l0_px / step_x)),
        height_px=max(1, math.ceil(bounds.height_l0_px / step_y)),
        mpp=mask_mpp,
    )
