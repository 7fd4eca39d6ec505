"""Positions of tiles centred on clusters."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from inkdot.config import TilingConfig
from inkdot.geometry import scanned_bounds
from inkdot.records import SlideInfo
from inkdot.tiling.clusters.group_objects import MARGIN_UM, Cluster
from inkdot.tiling.clusters.not_tiled import NotTiled
from inkdot.tiling.polygon_overlap import meets_box

_OVERLAP_FRACTION: Final = 0.25  # of neighbouring tiles on a cluster larger than one
_FEW_NUCLEI: Final = 2

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Placement:
    """Tiles on clusters.

    Attributes:
        x_l0_px: Left edges in level-0 pixels, shape [tiles], sorted by y then x.
        y_l0_px: Top edges, shape [tiles].
        cluster: Index of the cluster that each tile was placed for, shape [tiles].
        not_tiled: Per cluster, why it has no tile.
    """

    x_l0_px: npt.NDArray[np.int64]
    y_l0_px: npt.NDArray[np.int64]
    cluster: npt.NDArray[np.int64]
    not_tiled: tuple[NotTiled, ...]


def place_tiles(info: SlideInfo, tiling: TilingConfig, clusters: Sequence[Cluster]) -> Placement:
    """Tiles centred on clusters, several on a large one, none where a cluster lies whole in the tile of another.

    They are placed until ``tiling.max_tiles`` are used: by turns on the cluster of most nuclei and on that of the
    largest nucleus, so that neither groups of small cells nor single large ones use up the budget of the other.
    Without ``tiling.fields`` on the clusters of most nuclei first, then on the largest lone nuclei.

    Args:
        info: The slide.
        tiling: Side and scale of the tiles (the stride is not used), and which clusters get one.
        clusters: All clusters of the slide.
    """
    side = float(tiling.spec.side_um)
    placed = _PlacedTiles(side)
    not_tiled = [NotTiled.TILED] * len(clusters)
    chosen: dict[tuple[int, int], int] = {}
    for index in _by_turns(clusters) if tiling.fields else _by_nuclei(clusters):
        cluster = clusters[index]
        # By its whole group: the field at the edge of a sheet may hold a single nucleus of it.
        if cluster.group_nuclei <= _FEW_NUCLEI and cluster.nucleus_um < tiling.lone_nucleus_um:
            not_tiled[index] = NotTiled.SMALL
            continue
        if placed.hold(cluster.box_um):
            continue
        corners = list(_corners(info, cluster, side))
        if len(chosen) + len(corners) > tiling.max_tiles:
            not_tiled[index] = NotTiled.BUDGET
            continue
        for x, y in corners:
            chosen.setdefault((round(y / info.mpp.y), round(x / info.mpp.x)), index)
            placed.add(x, y)
    corners_l0_px = sorted(chosen)
    return Placement(
        x_l0_px=np.array([x for _, x in corners_l0_px], np.int64),
        y_l0_px=np.array([y for y, _ in corners_l0_px], np.int64),
        cluster=np.array([chosen[corner] for corner in corners_l0_px], np.int64),
        not_tiled=tuple(not_tiled),
    )


def _by_turns(clusters: Sequence[Cluster]) -> list[int]:
    """Indices, by turns the next one of most nuclei and the next one of the largest nucleus."""

    def rank(index: int) -> tuple[float, int, int]:
        cluster = clusters[index]
        return -cluster.nucleus_um, -cluster.nuclei, index

    by_size = sorted(range(len(clusters)), key=rank)
    pairs = zip(_by_nuclei(clusters), by_size, strict=True)
    return list(dict.fromkeys(index for pair in pairs for index in pair))


def _by_nuclei(clusters: Sequence[Cluster]) -> list[int]:
    def rank(index: int) -> tuple[int, float, int]:
        cluster = clusters[index]
        return -cluster.nuclei, -cluster.nucleus_um, index

    return sorted(range(len(clusters)), key=rank)


class _PlacedTiles:
    """Tiles placed so far, indexed by position."""

    def __init__(self, side_um: float) -> None:
        self._side = side_um
        self._by_cell: dict[tuple[int, int], list[tuple[float, float]]] = {}

    def add(self, x: float, y: float) -> None:
        """Remember a tile by its top left corner (µm)."""
        self._by_cell.setdefault(self._cell(x, y), []).append((x, y))

    def hold(self, box: Box) -> bool:
        """Whether one tile holds the whole box with its margin."""
        left, top, right, bottom = (
            box[0] - MARGIN_UM,
            box[1] - MARGIN_UM,
            box[2] + MARGIN_UM,
            box[3] + MARGIN_UM,
        )
        column, row = self._cell(left, top)
        return any(
            x <= left and y <= top and x + self._side >= right and y + self._side >= bottom
            for r in (row - 1, row)
            for c in (column - 1, column)
            for x, y in self._by_cell.get((c, r), ())
        )

    def _cell(self, x: float, y: float) -> tuple[int, int]:
        return math.floor(x / self._side), math.floor(y / self._side)


def _corners(info: SlideInfo, cluster: Cluster, side: float) -> Iterator[tuple[float, float]]:
    """Top left corners (µm) of the tiles on one cluster; of a large one, those that hold something of it."""
    bounds = scanned_bounds(info)
    left, top, right, bottom = cluster.box_um
    xs = _along(left, right, side, bounds.x_l0_px * info.mpp.x, bounds.width_l0_px * info.mpp.x)
    for y in _along(top, bottom, side, bounds.y_l0_px * info.mpp.y, bounds.height_l0_px * info.mpp.y):
        for x in xs:
            # By its outline: the box of a slanting fibre is mostly empty.
            if meets_box(cluster.outline_um, x, y, x + side, y + side):
                yield x, y


def _along(low: float, high: float, side: float, start: float, length: float) -> list[float]:
    """Starts of tiles that cover low to high with the margin, centred, inside the scanned part where they fit."""
    extent = high - low + 2.0 * MARGIN_UM
    step = side * (1.0 - _OVERLAP_FRACTION)
    count = 1 if extent <= side else 1 + math.ceil((extent - side) / step)
    middle = 0.5 * (low + high)
    spacing = (extent - side) / (count - 1) if count > 1 else 0.0
    starts = [middle - 0.5 * side + (i - 0.5 * (count - 1)) * spacing for i in range(count)]
    return [min(max(value, start), max(start, start + length - side)) for value in starts]
