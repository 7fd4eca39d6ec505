"""Foreground and artefacts of a slide: sections and biopsies, and cells on a spot.

Otsu's threshold fails where a few cells lie on clear glass. Here pixels are compared with the slide's own empty glass: a
pixel is foreground when its absorbance or colour exceeds that of glass (:mod:`inkdot.tiling.foreground.stain_map`).
Artefacts such as pen, bubbles and folds are then classified; nothing is dropped without a class.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.config import TilingConfig
from inkdot.records import MaskArray, Slide
from inkdot.tiling.foreground.bubbles_and_lines import bubbles, straight_lines
from inkdot.tiling.foreground.cell_spot import Spot, find_spot, on_ring, outside_of
from inkdot.tiling.foreground.dust_and_precipitate import label_specks
from inkdot.tiling.foreground.empty_area import label_empty_area
from inkdot.tiling.foreground.fibres import label_fibres
from inkdot.tiling.foreground.focus import FocusMap, measure_focus
from inkdot.tiling.foreground.foreground_classes import BLOCKING, ForegroundClass
from inkdot.tiling.foreground.glass import Glass
from inkdot.tiling.foreground.mask_frame import MaskFrame
from inkdot.tiling.foreground.pen_and_folds import folds, pen_marks, solid_grey
from inkdot.tiling.foreground.protein_clots import label_clots
from inkdot.tiling.foreground.small_spot import find_small_spot
from inkdot.tiling.foreground.stain_map import Bytes, Planes, read_planes

_PALE_OD: Final = 0.18


@dataclass(frozen=True, slots=True)
class Foreground:
    """Foreground classes of a slide.

    Attributes:
        classes: :class:`ForegroundClass` per mask pixel, uint8, shape [height, width].
        frame: Position of the mask on the slide.
        glass: The empty glass of the slide.
        level: Pyramid level that was read.
        spot: The cell spot, where one was found.
        focus: Sharpness of the foreground; None where not measured.
    """

    classes: npt.NDArray[np.uint8]
    frame: MaskFrame
    glass: Glass
    level: int
    spot: Spot | None = None
    focus: FocusMap | None = None

    @property
    def mask(self) -> MaskArray:
        """Foreground, shape [height, width]."""
        return self.classes == ForegroundClass.FOREGROUND

    @property
    def blocked(self) -> MaskArray:
        """Mask pixels that are not assessable, shape [height, width]."""
        return self.of(BLOCKING)

    def of(self, kinds: Iterable[ForegroundClass]) -> MaskArray:
        """Mask pixels of these classes, shape [height, width]."""
        table = np.zeros(256, np.bool_)
        table[[int(kind) for kind in kinds]] = True
        return table[self.classes]

    def areas_um2(self) -> dict[ForegroundClass, float]:
        """Area of each class, in µm²."""
        counts = np.bincount(self.classes.ravel(), minlength=len(ForegroundClass))
        return {kind: float(counts[kind]) * self.frame.mpp**2 for kind in ForegroundClass}


def find_foreground(slide: Slide, tiling: TilingConfig, *, with_spot: bool = True) -> Foreground:
    """Classify the slide at ``tiling.mask_mpp`` into glass, foreground and artefacts.

    Memory does not grow with level 0: the slide is read in blocks. Only foreground is read again, in small windows, to
    measure its sharpness.

    Args:
        slide: An open slide.
        tiling: Scale of the mask, and what counts as an artefact.
        with_spot: Search for a cell spot. A smear has none, however round its thick part is.

    Raises:
        NotBrightFieldError: Not a bright-field slide.
        UnreadableSlideError: The slide's pixels cannot be decoded, or a level lacks pixels where another one shows stain.
    """
    planes = read_planes(slide, tiling.mask_mpp)
    spot = find_spot(planes, tiling.spot) if with_spot else None
    classes = _classified(planes, spot, tiling)
    label_empty_area(classes, planes, slide)
    if with_spot and spot is None and tiling.mode == "clusters" and tiling.spot.diameter_um > 0.0:
        spot = find_small_spot(classes, planes)
    focus = None
    if tiling.artefacts.largest_edge_um > 0.0:
        focus = measure_focus(
            slide, classes == ForegroundClass.FOREGROUND, planes.frame, planes.glass, tiling.spec.side_um
        )
    if focus is not None:
        blurred = focus.blurred(tiling.artefacts.largest_edge_um, planes.frame)
        classes[blurred & (classes == ForegroundClass.FOREGROUND)] = ForegroundClass.BLUR
    return Foreground(classes, planes.frame, planes.glass, planes.level, spot, focus)


def _classified(planes: Planes, spot: Spot | None, tiling: TilingConfig) -> Bytes:
    """Class of every mask pixel; later classes overrule earlier ones."""
    classes = (planes.stained > 0).astype(np.uint8) * np.uint8(ForegroundClass.FOREGROUND)
    classes[solid_grey(planes)] = ForegroundClass.GREY
    classes[straight_lines(planes) & (classes != ForegroundClass.GREY)] = ForegroundClass.COVERSLIP
    in_bubble = bubbles(planes)
    classes[in_bubble & (planes.stained == 0)] = ForegroundClass.IN_BUBBLE
    # Coloured pixels in a bubble are cells, and stay foreground.
    classes[in_bubble & (planes.stained > 0) & (planes.grey >= planes.stained // 3)] = ForegroundClass.BUBBLE
    classes[pen_marks(planes)] = ForegroundClass.PEN
    if spot is not None:
        # Pen outside of the spot stays pen; all else there is outside, glass too.
        classes[outside_of(spot, planes.frame, tiling.spot.ring_um) & (classes != ForegroundClass.PEN)] = (
            ForegroundClass.OUTSIDE
        )
        _label_ring(classes, planes, spot, tiling.spot.ring_um)
    classes[folds(planes, classes == ForegroundClass.FOREGROUND)] = ForegroundClass.FOLD
    # In sections, and in smears cut on a grid, threads and sheets are tissue.
    of_fluid = tiling.mode == "clusters"
    if of_fluid:
        label_fibres(classes, planes)
    label_specks(classes, planes, tiling.min_object_um)
    if of_fluid:
        # Last: what is left of a clot may be a pale cell on it, and is no speck however small.
        label_clots(classes, planes)
    return classes


def _label_ring(classes: Bytes, planes: Planes, spot: Spot, width_um: float) -> None:
    """Label the print of the filter on the rim: pale objects without a dark core. Cells there stay foreground."""
    ring = on_ring(spot, planes.frame, width_um) & (classes == ForegroundClass.FOREGROUND)
    if not ring.any():
        return
    _, labels = cast(
        "tuple[int, npt.NDArray[np.int32]]", cv2.connectedComponents(ring.astype(np.uint8), connectivity=8)
    )
    # Only these few pixels: whole planes of floats would dominate the memory.
    where = np.nonzero(ring)
    which, tone = labels[where], np.maximum(planes.tone[where], 1)
    red, green = (np.log10(planes.glass.rgb[channel] / tone[:, channel]) for channel in (0, 1))
    # Mask pixels are means, so a nucleus is paler in them than it is.
    with_core = np.zeros(int(which.max()) + 1, np.bool_)
    with_core[which[np.minimum(red, green) >= 0.5 * _PALE_OD]] = True
    pale = ~with_core[which]
    classes[where[0][pale], where[1][pale]] = ForegroundClass.RING
