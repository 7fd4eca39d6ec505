"""Nuclear objects on a coarse level: dark in red and in green light, at least the size of a nucleus.

Haematoxylin and azure absorb red and green; light green only red, eosin and orange G only green and blue. The
smaller of the two optical densities therefore shows nuclei and suppresses cytoplasm and red cells, in Pap,
haematoxylin-eosin and May-Grünwald-Giemsa alike, without unmixing five dyes from three channels.

Lengths are in micrometres from the corner of level 0, until tables are written.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.config import TilingConfig
from inkdot.geometry import check_resolution, level_for, plan_rectangle
from inkdot.records import MaskArray, Slide, SlideInfo
from inkdot.tiling.foreground.find_foreground import Foreground
from inkdot.tiling.foreground.foreground_classes import OPAQUE, ForegroundClass
from inkdot.tiling.foreground.glass import OD_STEP
from inkdot.tiling.tile_pixels import resized

OBJECT_MPP: Final = 1.0
"""Micrometres per pixel at which nuclei are found: seven pixels to a lymphocyte."""

_CORE_UM = 1024
_HALO_UM = 96  # the block that holds the middle of an object up to this size holds all of it
_SMOOTHING_PX = 0.7
_PEAK_SPACING_PX = 5
_CLUMPED_NUCLEUS_UM2 = 130.0
_INK_WIDTH_UM = 60.0
_INK_VARIATION = 0.10
# Defocus makes a grain of stain as wide as a lymphocyte, but adds no dye to it (µm² times optical density).
_GRAIN_BLUR_UM = 1.2
_GRAIN_DYE = 20.0
_LEAST_DYE = 12.0
_GREY_BLUE = 0.95  # nuclei absorb less of blue: half as much where they are blue, nearly as much where purple-brown (Pap)

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NuclearObject:
    """A connected dark object: a nucleus, several touching nuclei, or an artefact that looks like these.

    Attributes:
        outline_um: Its outline, shape [points, 2], x before y.
        area_um2: Area where it is at least half as dark as at its darkest.
        diameter_um: Diameter of a disc of that area; of one nucleus if it is one.
        nuclei: Estimated number of nuclei.
        od: Optical density of its dark part, in the lighter of red and green.
        blur_um: Width of its edge, as the sigma of a blurred step; about 1 in focus.
    """

    outline_um: Floats
    area_um2: float
    diameter_um: float
    nuclei: int
    od: float
    blur_um: float


@dataclass(slots=True)
class DetectedObjects:
    """Nuclear objects of a slide, and what was rejected.

    Attributes:
        objects: In the order of the blocks.
        too_small: Number of dark objects narrower than a nucleus (precipitate, dust, fragments).
        grains: Number of dark objects that are wide enough, but blurred and with too little dye for a nucleus:
            precipitate above or below the focal plane.
        ink_um2: Area of wide, even, coloured darkness (pen), in µm².
        grey_um2: Area as dark in blue as in red and green (edges, rings of bubbles, carbon, black pen), in µm².
    """

    objects: list[NuclearObject] = field(default_factory=list[NuclearObject])
    too_small: int = 0
    grains: int = 0
    ink_um2: float = 0.0
    grey_um2: float = 0.0


def find_objects(slide: Slide, foreground: Foreground, tiling: TilingConfig) -> DetectedObjects:
    """Nuclear objects in the foreground, block by block, reading only blocks that hold any.

    Raises:
        ResolutionError: The slide is much coarser than 1 µm per pixel.
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    check_resolution(slide.info, OBJECT_MPP)
    detected = DetectedObjects()
    table = foreground.glass.od_table()
    for origin_um, keep in _blocks(slide.info, foreground):
        side = _CORE_UM + 2 * _HALO_UM
        planes = _planes(slide, origin_um, side, table)
        # As dark in blue as in red and green: an edge, the ring of a bubble, or carbon. Removed pixel by pixel, so
        # that a touching cluster stays.
        stained = planes.blue <= _GREY_BLUE * planes.nuclear
        dark = (planes.nuclear >= tiling.nucleus_od) & keep
        core = (slice(_HALO_UM, _HALO_UM + _CORE_UM),) * 2
        detected.grey_um2 += float(np.count_nonzero((dark & ~stained)[core])) * OBJECT_MPP**2
        _collect(planes, dark & stained, origin_um, tiling.min_nucleus_um, detected)
    return detected


def _blocks(info: SlideInfo, foreground: Foreground) -> Iterator[tuple[tuple[float, float], MaskArray]]:
    """Corners (µm) of the blocks that hold foreground, halo included, and their foreground at 1 µm/px."""
    frame = foreground.frame
    left, top = frame.x_l0_px * info.mpp.x, frame.y_l0_px * info.mpp.y
    kept = foreground.of((ForegroundClass.FOREGROUND, ForegroundClass.BLUR)).astype(np.uint8)
    # Only named artefacts are excluded: the edge of the 4 µm mask would trim nuclei.
    opaque = foreground.of(OPAQUE).astype(np.uint8)
    side = _CORE_UM + 2 * _HALO_UM
    for y in np.arange(0.0, frame.height_px * frame.mpp, _CORE_UM):
        for x in np.arange(0.0, frame.width_px * frame.mpp, _CORE_UM):
            corner = (x - _HALO_UM, y - _HALO_UM)
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
class _Planes:
    """A block at 1 µm/px, slightly smoothed: optical density in the lighter of red and green, and in blue."""

    nuclear: Plane
    blue: Plane
    slope: Plane

    def cut(self, window: tuple[slice, slice]) -> "_Planes":
        return _Planes(self.nuclear[window], self.blue[window], self.slope[window])


def _planes(
    slide: Slide, corner_um: tuple[float, float], side: int, od_table: npt.NDArray[np.uint8]
) -> _Planes:
    info = slide.info
    plan = plan_rectangle(
        info,
        level_for(info, OBJECT_MPP * 1.06),
        round(corner_um[0] / info.mpp.x),
        round(corner_um[1] / info.mpp.y),
        side * OBJECT_MPP / info.mpp.x,
        side * OBJECT_MPP / info.mpp.y,
    )
    red, green, blue = cv2.split(cv2.LUT(resized(slide.read(plan), side, side), od_table))
    nuclear = _smoothed(cv2.min(red, green))
    across = cast(Plane, cv2.Sobel(nuclear, cv2.CV_32F, 1, 0))
    down = cast(Plane, cv2.Sobel(nuclear, cv2.CV_32F, 0, 1))
    # Not cv2.magnitude: its last bits depend on where the arrays lie in memory, and tables must not.
    slope = cast(Plane, np.sqrt(np.square(across) + np.square(down)) / np.float32(8.0 * OBJECT_MPP))
    return _Planes(nuclear, _smoothed(blue), slope)


def _smoothed(od_steps: npt.NDArray[np.integer | np.floating]) -> Plane:
    od = od_steps.astype(np.float32) * np.float32(OD_STEP)
    return cast(Plane, cv2.GaussianBlur(od, (0, 0), _SMOOTHING_PX))


def _collect(
    planes: _Planes,
    dark: MaskArray,
    corner_um: tuple[float, float],
    min_nucleus_um: float,
    detected: DetectedObjects,
) -> None:
    """Add the objects of a block: those whose middle lies in its core."""
    side = dark.shape[0]
    count, labels, stats, middles = cv2.connectedComponentsWithStats(dark.astype(np.uint8), connectivity=8)
    for index in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[index])
        whole = x > 0 and y > 0 and x + width < side and y + height < side
        if whole and not all(_HALO_UM <= middle < _HALO_UM + _CORE_UM for middle in middles[index]):
            continue
        if not whole and not _reaches_core(x, y, width, height):
            continue
        if 2.0 * np.sqrt(area / np.pi) < min_nucleus_um:
            detected.too_small += 1
            continue
        window = (slice(y, y + height), slice(x, x + width))
        part = labels[window] == index
        if not whole:
            # Larger than the halo: each block keeps its own part, and grouping joins them again.
            part &= _core_mask(x, y, width, height)
        _add(planes.cut(window), part, (corner_um[0] + x, corner_um[1] + y), detected)


def _reaches_core(x: int, y: int, width: int, height: int) -> bool:
    low, high = _HALO_UM, _HALO_UM + _CORE_UM
    return x < high and y < high and x + width > low and y + height > low


def _core_mask(x: int, y: int, width: int, height: int) -> MaskArray:
    low, high = _HALO_UM, _HALO_UM + _CORE_UM
    columns, rows = np.arange(x, x + width), np.arange(y, y + height)
    return ((rows >= low) & (rows < high))[:, None] & ((columns >= low) & (columns < high))[None, :]


def _add(planes: _Planes, part: MaskArray, corner_um: tuple[float, float], detected: DetectedObjects) -> None:
    """Measure one object and add it, unless it is ink."""
    if not part.any():
        return
    nuclear = planes.nuclear
    od = float(np.quantile(nuclear[part], 0.9))
    half = part & (nuclear >= 0.5 * od)
    padded = np.pad(half, 1).astype(np.uint8)
    depth = cast(Plane, cv2.distanceTransform(padded, cv2.DIST_L2, 5))[1:-1, 1:-1]
    if _is_ink(depth, nuclear):
        detected.ink_um2 += float(np.count_nonzero(part)) * OBJECT_MPP**2
        return
    contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    longest = max(contours, key=len)
    area = float(np.count_nonzero(half)) * OBJECT_MPP**2
    steepest = float(np.quantile(planes.slope[part], 0.9))
    blur = od / (max(steepest, 1e-6) * float(np.sqrt(2.0 * np.pi)))
    if area * od < (_GRAIN_DYE if blur > _GRAIN_BLUR_UM else _LEAST_DYE):
        detected.grains += 1
        return
    detected.objects.append(
        NuclearObject(
            outline_um=np.asarray(longest, np.float64).reshape(-1, 2) + np.asarray(corner_um) + 0.5,
            area_um2=area,
            diameter_um=2.0 * float(np.sqrt(area / np.pi)),
            nuclei=_count_nuclei(depth, area),
            od=od,
            blur_um=blur,
        )
    )


def _is_ink(depth: Plane, nuclear: Plane) -> bool:
    """Whether an object is wider than solid clumps of cells, and uniform: cells have texture, pen has none."""
    inner = depth > 0.5 * _INK_WIDTH_UM / OBJECT_MPP
    if not inner.any():
        return False
    inside = nuclear[depth > 5.0]
    return float(inside.std()) < _INK_VARIATION * float(inside.mean())


def _count_nuclei(depth: Plane, area_um2: float) -> int:
    """Number of nuclei: maxima of the distance to the edge, but at least what the area of a moulded clump holds."""
    smooth = cv2.GaussianBlur(depth, (0, 0), 1.0)
    highest = cv2.dilate(smooth, np.ones((_PEAK_SPACING_PX, _PEAK_SPACING_PX), np.uint8))
    tops = ((smooth >= highest) & (depth >= 1.5)).astype(np.uint8)
    count = cv2.connectedComponents(tops, connectivity=8)[0] - 1
    return max(count, round(area_um2 / _CLUMPED_NUCLEUS_UM2)) if count > 1 else 1
