"""Nuclear objects on a coarse level: dark in red and in green light, at least the size of a nucleus.

Haematoxylin and azure absorb red and green; light green only red, eosin and orange G only green and blue. The
smaller of the two optical densities therefore shows nuclei and suppresses cytoplasm and red cells, in Pap,
haematoxylin-eosin and May-Grünwald-Giemsa alike, without unmixing five dyes from three channels.

Lengths are in micrometres from the corner of level 0, until tables are written.
"""

from dataclasses import dataclass, field
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.config import TilingConfig
from inkdot.geometry import check_resolution
from inkdot.records import MaskArray, Slide
from inkdot.tiling.clusters.blocks import (
    OBJECT_MPP,
    NuclearPlanes,
    Plane,
    blocks_with_foreground,
    read_nuclear_planes,
)
from inkdot.tiling.foreground.find_foreground import Foreground

_CORE_UM = 1024
_HALO_UM = 96  # the block that holds the middle of an object up to this size holds all of it
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
        score: Probability that it is a nucleus; 1 where it was found by its colour.
    """

    outline_um: Floats
    area_um2: float
    diameter_um: float
    nuclei: int
    od: float
    blur_um: float
    score: float = 1.0


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
        warnings: For every result of the slide.
    """

    objects: list[NuclearObject] = field(default_factory=list[NuclearObject])
    too_small: int = 0
    grains: int = 0
    ink_um2: float = 0.0
    grey_um2: float = 0.0
    warnings: list[str] = field(default_factory=list[str])


def find_objects(slide: Slide, foreground: Foreground, tiling: TilingConfig) -> DetectedObjects:
    """Nuclear objects in the foreground, block by block, reading only blocks that hold any.

    Raises:
        ResolutionError: The slide is much coarser than 1 µm per pixel.
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    check_resolution(slide.info, OBJECT_MPP)
    detected = DetectedObjects()
    table = foreground.glass.od_table()
    for origin_um, keep in blocks_with_foreground(slide.info, foreground, _CORE_UM, _HALO_UM):
        side = _CORE_UM + 2 * _HALO_UM
        planes = read_nuclear_planes(slide, origin_um, side, table)
        # As dark in blue as in red and green: an edge, the ring of a bubble, or carbon. Removed pixel by pixel, so
        # that a touching cluster stays.
        stained = planes.blue <= _GREY_BLUE * planes.nuclear
        dark = (planes.nuclear >= tiling.nucleus_od) & keep
        core = (slice(_HALO_UM, _HALO_UM + _CORE_UM),) * 2
        detected.grey_um2 += float(np.count_nonzero((dark & ~stained)[core])) * OBJECT_MPP**2
        _collect(planes, dark & stained, origin_um, tiling.min_nucleus_um, detected)
    return detected


def _collect(
    planes: NuclearPlanes,
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


def _add(
    planes: NuclearPlanes, part: MaskArray, corner_um: tuple[float, float], detected: DetectedObjects
) -> None:
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
