"""Nuclei by the learned cell finder: a coarse look for anything dark, and the network where there is some.

Lengths are in micrometres from the corner of level 0, until tables are written.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.cell_finder import FINDER_MPP, CellFinder, Cells
from inkdot.config import TilingConfig
from inkdot.geometry import check_resolution, plan_square
from inkdot.morphometry.arrays import Labels, Plane, boxes, close_pairs
from inkdot.records import MaskArray, Slide
from inkdot.tiling.clusters.blocks import NuclearPlanes, blocks_with_foreground, read_nuclear_planes
from inkdot.tiling.clusters.find_objects import DetectedObjects, NuclearObject
from inkdot.tiling.foreground.find_foreground import Foreground
from inkdot.tiling.tile_pixels import read_resized

_CORE_UM: Final = 576
_HALO_UM: Final = 32  # more than the radius of any nucleus; a nucleus belongs to the block of its middle
_SIDE_UM: Final = _CORE_UM + 2 * _HALO_UM

# The palest of 190 intact cells of real cerebrospinal fluid but one is darker than 0.19 on 8 µm²; most protein and
# debris is paler.
_FAINTEST_OD: Final = 0.12
_LEAST_DARK_UM2: Final = 8

_WINDOW_UM: Final = 64
_WINDOW_HALO_UM: Final = 16
_MOST_WINDOWS: Final = 0.45  # of a block's windows: beyond, the whole block costs less

_EDGE_UM: Final = 3.0

_PX_PER_UM: Final = round(1.0 / FINDER_MPP)


def find_cells(
    slide: Slide, foreground: Foreground, tiling: TilingConfig, finder: CellFinder
) -> DetectedObjects:
    """Nuclei in the foreground, one object each, by y then x within a block; reads only blocks that hold any.

    Raises:
        ResolutionError: The slide is much coarser than 1 µm per pixel.
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    check_resolution(slide.info, 2.0 * FINDER_MPP)
    detected = DetectedObjects()
    nuclei: list[_Nucleus] = []
    search = _Search(slide, foreground.glass.od_table(), tiling.min_nucleus_um, finder, Lock())
    held = blocks_with_foreground(slide.info, foreground, _CORE_UM, _HALO_UM)
    # In threads: reading, the network and OpenCV release the interpreter lock. A few blocks at a time bound the memory.
    with ThreadPoolExecutor(_threads()) as pool:
        while part := list(islice(held, 4 * _threads())):
            for found, too_small in pool.map(search.block, *zip(*part, strict=True)):
                nuclei.extend(found)
                detected.too_small += too_small
    detected.objects = _each_once(nuclei)
    return detected


def _threads() -> int:
    """OMP_NUM_THREADS, which processes of a batch set to 1, or the number of cores; four read as fast as a disk gives."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdecimal() and int(limit) > 0 else min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class _Search:
    """What is the same for all blocks of a slide."""

    slide: Slide
    od_table: npt.NDArray[np.uint8]
    min_nucleus_um: float
    finder: CellFinder
    reading: Lock

    def block(self, corner_um: tuple[float, float], keep: MaskArray) -> tuple[list["_Nucleus"], int]:
        """Nuclei whose middle lies in the core of a block, and the number of smaller ones."""
        with self.reading:
            planes = read_nuclear_planes(self.slide, corner_um, _SIDE_UM, self.od_table)
            dark = ((planes.nuclear >= _FAINTEST_OD) & keep).astype(np.uint8)
            windows = _windows(dark)
            pixels = [self._read(corner_um, window) for window in windows]
        nuclei: list[_Nucleus] = []
        too_small = 0
        for window, od_steps in zip(windows, pixels, strict=True):
            found, small = _objects(
                self.finder.find(od_steps),
                planes.cut(window.box),
                keep[window.box],
                window,
                corner_um,
                self.min_nucleus_um,
            )
            nuclei += found
            too_small += small
        return nuclei, too_small

    def _read(self, corner_um: tuple[float, float], window: "_Window") -> npt.NDArray[np.uint8]:
        """Optical density of a window, at the scale of the network."""
        corner = corner_um[0] + window.x, corner_um[1] + window.y
        plan = plan_square(self.slide.info, corner, window.side, FINDER_MPP)
        rgb = read_resized(self.slide, plan, window.side * _PX_PER_UM)
        return cast("npt.NDArray[np.uint8]", cv2.LUT(rgb, self.od_table))


@dataclass(frozen=True, slots=True)
class _Window:
    """A square of a block, in µm from its corner, halo included; 1 µm is a pixel of the planes."""

    x: int
    y: int
    side: int
    halo: int

    @property
    def box(self) -> tuple[slice, slice]:
        return slice(self.y, self.y + self.side), slice(self.x, self.x + self.side)


@dataclass(frozen=True, slots=True)
class _Nucleus:
    """A nucleus, its middle in µm from the corner of level 0, and whether that is near the edge of a core."""

    found: NuclearObject
    middle_um: npt.NDArray[np.float64]
    on_edge: bool


def _each_once(nuclei: list[_Nucleus]) -> list[NuclearObject]:
    """The nuclei, of those that two windows took only the larger."""
    edge = [index for index, nucleus in enumerate(nuclei) if nucleus.on_edge]
    dropped: set[int] = set()
    if edge:
        middles = np.array([nuclei[index].middle_um for index in edge])
        for one, other in close_pairs(middles, 2.0 * _EDGE_UM):
            first, second = nuclei[edge[one]].found, nuclei[edge[other]].found
            apart = float(np.hypot(*(nuclei[edge[one]].middle_um - nuclei[edge[other]].middle_um)))
            if apart < 0.25 * (first.diameter_um + second.diameter_um):
                dropped.add(edge[other] if first.area_um2 >= second.area_um2 else edge[one])
    return [nucleus.found for index, nucleus in enumerate(nuclei) if index not in dropped]


def _windows(dark: npt.NDArray[np.uint8]) -> list[_Window]:
    """Windows of a block that hold something dark; one for all of it where most do."""
    across = _CORE_UM // _WINDOW_UM
    core = dark[_HALO_UM : _HALO_UM + _CORE_UM, _HALO_UM : _HALO_UM + _CORE_UM]
    counts = core.reshape(across, _WINDOW_UM, across, _WINDOW_UM).sum((1, 3), dtype=np.int32)
    held = np.argwhere(counts >= _LEAST_DARK_UM2).tolist()
    if len(held) > _MOST_WINDOWS * across**2:
        return [_Window(0, 0, _SIDE_UM, _HALO_UM)]
    start, side = _HALO_UM - _WINDOW_HALO_UM, _WINDOW_UM + 2 * _WINDOW_HALO_UM
    return [
        _Window(start + column * _WINDOW_UM, start + row * _WINDOW_UM, side, _WINDOW_HALO_UM)
        for row, column in held
    ]


def _objects(
    cells: Cells,
    planes: NuclearPlanes,
    keep: MaskArray,
    window: _Window,
    corner_um: tuple[float, float],
    min_nucleus_um: float,
) -> tuple[list[_Nucleus], int]:
    """Nuclei whose middle lies in the core of a window and under no artefact, and the number of smaller ones."""
    labels, count = cells.labels, len(cells.scores)
    y, x = np.nonzero(labels)
    if not y.size:
        return [], 0
    owner = labels[y, x] - 1
    areas = np.bincount(owner, minlength=count)
    middles = np.stack([np.bincount(owner, at, count) for at in (x, y)]) / np.maximum(areas, 1) + 0.5
    # A nucleus on the edge of a core may lie just beyond it as seen from both sides: then each takes it, see _each_once.
    inward = np.minimum(middles - window.halo, window.side - window.halo - middles).min(axis=0)
    visible = np.bincount(owner, keep[y, x], count) > 0.5 * areas
    diameters = 2.0 * np.sqrt(areas / np.pi)
    own = (inward > -_EDGE_UM) & visible & (areas > 0)
    od = _quantiles(planes.nuclear[y, x], owner, areas)
    slope = _steepest(labels, planes.slope, count)
    blur = od / (np.maximum(slope, 1e-6) * np.sqrt(2.0 * np.pi))
    outer = dict(boxes(labels))
    origin = np.array([corner_um[0] + window.x, corner_um[1] + window.y])
    nuclei = [
        _Nucleus(
            NuclearObject(
                outline_um=_outline(labels, outer[index + 1], index + 1) + origin,
                area_um2=float(areas[index]),
                diameter_um=float(diameters[index]),
                nuclei=1,
                od=float(od[index]),
                blur_um=float(blur[index]),
                score=float(cells.scores[index]),
            ),
            middles[:, index] + origin,
            bool(inward[index] < _EDGE_UM),
        )
        for index in np.flatnonzero(own & (diameters >= min_nucleus_um)).tolist()
    ]
    return nuclei, int(np.count_nonzero(own & (inward >= 0.0) & (diameters < min_nucleus_um)))


def _steepest(labels: Labels, slope: Plane, count: int) -> npt.NDArray[np.float64]:
    """The 0.9 quantile of the slope on each nucleus and 2 µm around it: its edge falls off on both sides of the outline."""
    # As float32: OpenCV dilates no int32, and labels stay far below 2^24.
    wide = cv2.dilate(labels.astype(np.float32), np.ones((5, 5), np.uint8)).astype(np.int32)
    wide = np.where(labels > 0, labels, wide)
    y, x = np.nonzero(wide)
    owner = wide[y, x] - 1
    return _quantiles(slope[y, x], owner, np.bincount(owner, minlength=count))


def _quantiles(
    values: Plane, owner: npt.NDArray[np.integer], areas: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """The 0.9 quantile (the lower of two neighbours) of the values of each label; 0 for labels without pixels."""
    order = np.lexsort((values, owner))
    last = np.cumsum(areas)
    at = last - areas + np.maximum(np.ceil(0.9 * areas).astype(np.intp) - 1, 0)
    found = values[order][np.minimum(at, len(values) - 1)].astype(np.float64)
    return np.where(areas > 0, found, 0.0)


def _outline(labels: Labels, box: tuple[slice, slice], number: int) -> npt.NDArray[np.float64]:
    """Outline of one label, in pixels of the window."""
    part = np.asarray(labels[box] == number, np.uint8)
    contours, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.asarray(max(contours, key=len), np.float64).reshape(-1, 2) + np.array(
        [box[1].start + 0.5, box[0].start + 0.5]
    )
