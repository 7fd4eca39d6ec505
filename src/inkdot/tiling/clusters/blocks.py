"""Blocks of a slide at 1 µm per pixel, in which nuclei are found."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.geometry import plan_square
from inkdot.records import MaskArray, Slide, SlideInfo
from inkdot.tiling.foreground.find_foreground import Foreground
from inkdot.tiling.foreground.foreground_classes import OPAQUE, ForegroundClass
from inkdot.tiling.foreground.glass import OD_STEP
from inkdot.tiling.tile_pixels import resized

OBJECT_MPP: Final = 1.0
"""Micrometres per pixel at which nuclei are found: seven pixels to a lymphocyte."""

_SMOOTHING_PX = 0.7

Plane = npt.NDArray[np.float32]


def blocks_with_foreground(
    info: SlideInfo, foreground: Foreground, core_um: int, halo_um: int
) -> Iterator[tuple[tuple[float, float], MaskArray]]:
    """Blocks that hold foreground: corner in µm, halo included, and what no artefact hides, at 1 µm per pixel.

    Args:
        info: The slide.
        foreground: Its foreground and artefacts.
        core_um: Side of what a block answers for; cores tile the mask.
        halo_um: Read on each side of a core.
    """
    frame = foreground.frame
    left, top = frame.x_l0_px * info.mpp.x, frame.y_l0_px * info.mpp.y
    searched = (ForegroundClass.FOREGROUND, ForegroundClass.BLUR, ForegroundClass.CLOT)
    kept = foreground.of(searched).astype(np.uint8)
    # Only named artefacts are excluded: the edge of the 4 µm mask would trim nuclei.
    opaque = foreground.of(OPAQUE).astype(np.uint8)
    side = core_um + 2 * halo_um
    for y in np.arange(0.0, frame.height_px * frame.mpp, core_um):
        for x in np.arange(0.0, frame.width_px * frame.mpp, core_um):
            corner = (x - halo_um, y - halo_um)
            if _mask_block(kept, corner, side, frame.mpp).any():
                yield (left + corner[0], top + corner[1]), _mask_block(opaque, corner, side, frame.mpp) == 0


def _mask_block(
    mask: npt.NDArray[np.uint8], corner_um: tuple[float, float], side: int, mpp: float
) -> npt.NDArray[np.uint8]:
    """A block of the mask at 1 µm/px, zero beyond the mask, shape [side, side]."""
    rows, columns = mask.shape
    at = np.arange(side) + 0.5
    column = np.floor((at + corner_um[0]) / mpp).astype(np.intp)
    row = np.floor((at + corner_um[1]) / mpp).astype(np.intp)
    inside = ((row >= 0) & (row < rows))[:, None] & ((column >= 0) & (column < columns))[None, :]
    return np.where(inside, mask[np.ix_(row.clip(0, rows - 1), column.clip(0, columns - 1))], 0).astype(
        np.uint8
    )


@dataclass(frozen=True, slots=True)
class NuclearPlanes:
    """A block at 1 µm/px, slightly smoothed: optical density in the lighter of red and green, and in blue."""

    nuclear: Plane
    blue: Plane
    slope: Plane

    def cut(self, window: tuple[slice, slice]) -> "NuclearPlanes":
        """A part of the block."""
        return NuclearPlanes(self.nuclear[window], self.blue[window], self.slope[window])


def read_nuclear_planes(
    slide: Slide, corner_um: tuple[float, float], side: int, od_table: npt.NDArray[np.uint8]
) -> NuclearPlanes:
    """Read a block.

    Args:
        slide: The slide.
        corner_um: Its left and top edge in µm from the corner of level 0.
        side: Its side in µm.
        od_table: From grey levels to optical density; see :meth:`inkdot.tiling.foreground.glass.Glass.od_table`.
    """
    plan = plan_square(slide.info, corner_um, side * OBJECT_MPP, OBJECT_MPP)
    red, green, blue = cv2.split(cv2.LUT(resized(slide.read(plan), side, side), od_table))
    nuclear = _smoothed(cv2.min(red, green))
    across = cast(Plane, cv2.Sobel(nuclear, cv2.CV_32F, 1, 0))
    down = cast(Plane, cv2.Sobel(nuclear, cv2.CV_32F, 0, 1))
    # Not cv2.magnitude: its last bits depend on where the arrays lie in memory, and tables must not.
    slope = cast(Plane, np.sqrt(np.square(across) + np.square(down)) / np.float32(8.0 * OBJECT_MPP))
    return NuclearPlanes(nuclear, _smoothed(blue), slope)


def _smoothed(od_steps: npt.NDArray[np.integer | np.floating]) -> Plane:
    od = od_steps.astype(np.float32) * np.float32(OD_STEP)
    return cast(Plane, cv2.GaussianBlur(od, (0, 0), _SMOOTHING_PX))
