"""Clusters as a table, and their numbers on the slide."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inkdot.records import SlideInfo, TileSpec
from inkdot.storage.schemas import MEASURES, clusters_schema
from inkdot.tiling.clusters.find_objects import DetectedObjects
from inkdot.tiling.clusters.group_objects import IN_FOCUS_BLUR_UM, Cluster
from inkdot.tiling.clusters.not_tiled import NotTiled
from inkdot.tiling.clusters.place_tiles import Placement
from inkdot.tiling.foreground.find_foreground import Foreground
from inkdot.tiling.foreground.foreground_classes import OPAQUE
from inkdot.tiling.polygon_overlap import scaled


@dataclass(frozen=True, slots=True)
class ObjectCounts:
    """Numbers of nuclei and clusters on a slide.

    Attributes:
        nuclei: Estimated number of nuclei.
        nuclei_in_focus: Those in clusters with a sharp edge.
        assessable_mm2: Scanned area less named artefacts.
        too_small: Dark things narrower than a nucleus, not counted.
        ink_mm2: Area of pen and the like, in mm².
        clusters: Groups of nuclei and lone nuclei.
        not_tiled: Number of clusters without a tile, by reason.
    """

    nuclei: int
    nuclei_in_focus: int
    assessable_mm2: float
    too_small: int
    ink_mm2: float
    clusters: int
    not_tiled: dict[str, int]


def count_objects(
    foreground: Foreground, detected: DetectedObjects, clusters: Sequence[Cluster], placement: Placement
) -> ObjectCounts:
    """Count objects, for the footer of the tile table."""
    areas = foreground.areas_um2()
    ink = detected.ink_um2 + detected.grey_um2
    return ObjectCounts(
        nuclei=sum(cluster.nuclei for cluster in clusters),
        nuclei_in_focus=sum(cluster.nuclei for cluster in clusters if cluster.blur_um <= IN_FOCUS_BLUR_UM),
        assessable_mm2=round((sum(areas.values()) - sum(areas[kind] for kind in OPAQUE) - ink) / 1e6, 6),
        too_small=detected.too_small,
        ink_mm2=round(ink / 1e6, 6),
        clusters=len(clusters),
        not_tiled={
            reason.value: placement.not_tiled.count(reason)
            for reason in NotTiled
            if reason is not NotTiled.TILED
        },
    )


def cluster_table(
    info: SlideInfo, spec: TileSpec, clusters: Sequence[Cluster], placement: Placement
) -> pa.Table:
    """The table of ``schemas.clusters_schema``, in the order of the clusters.

    Args:
        info: The slide.
        spec: Side and scale of the tiles.
        clusters: All clusters of the slide, by y then x.
        placement: Positions of the tiles, in the order of the tile table.
    """
    to_l0 = np.array([1.0 / info.mpp.x, 1.0 / info.mpp.y] * 2)
    boxes = np.array([cluster.box_um for cluster in clusters]).reshape(-1, 4) * to_l0
    corners = np.floor(boxes[:, :2]).astype(np.int64)
    sizes = np.ceil(boxes[:, 2:]).astype(np.int64) - corners
    unmeasured: list[None] = [None] * len(clusters)
    columns = {
        **dict.fromkeys(("measured_nuclei", *MEASURES), unmeasured),
        "cluster_id": list(range(len(clusters))),
        "x_l0_px": corners[:, 0].tolist(),
        "y_l0_px": corners[:, 1].tolist(),
        "width_l0_px": sizes[:, 0].tolist(),
        "height_l0_px": sizes[:, 1].tolist(),
        "geometry": [
            scaled(cluster.outline_um, 1.0 / info.mpp.x, 1.0 / info.mpp.y).wkt for cluster in clusters
        ],
        "nuclei": [cluster.nuclei for cluster in clusters],
        "group_nuclei": [cluster.group_nuclei for cluster in clusters],
        "nuclear_area_um2": [cluster.area_um2 for cluster in clusters],
        "nucleus_um": [cluster.nucleus_um for cluster in clusters],
        "nuclear_od": [cluster.od for cluster in clusters],
        "edge_um": [cluster.blur_um for cluster in clusters],
        "in_focus": [cluster.blur_um <= IN_FOCUS_BLUR_UM for cluster in clusters],
        "not_tiled": [reason.value for reason in placement.not_tiled],
        "tile_rows": _tile_rows(info, spec, boxes, placement),
    }
    return pa.Table.from_pydict(columns, schema=clusters_schema())


def _tile_rows(
    info: SlideInfo, spec: TileSpec, boxes_l0_px: npt.NDArray[np.float64], placement: Placement
) -> list[list[int]]:
    """Per cluster, the tiles that hold all of it; where none does, those that hold a part of it."""
    width, height = spec.side_um / info.mpp.x, spec.side_um / info.mpp.y
    x, y = placement.x_l0_px, placement.y_l0_px
    rows: list[list[int]] = []
    for left, top, right, bottom in boxes_l0_px:
        near = np.flatnonzero((x < right) & (x + width > left) & (y < bottom) & (y + height > top))
        # Half a pixel of tolerance: tile corners are rounded to whole pixels, clusters are not.
        whole = near[
            (x[near] <= left + 0.5)
            & (x[near] + width >= right - 0.5)
            & (y[near] <= top + 0.5)
            & (y[near] + height >= bottom - 0.5)
        ]
        rows.append((whole if whole.size else near).tolist())
    return rows
