"""Objects to clusters: nuclei that lie close together, the unit that a pathologist reviews."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from shapely.geometry.base import BaseGeometry

from inkdot.tiling.clusters.find_objects import NuclearObject
from inkdot.tiling.polygon_overlap import around, connected_groups, near_pairs, outlines_of_rings

IN_FOCUS_BLUR_UM: Final = 2.2
"""An edge at most this wide (µm, see ``NuclearObject.blur_um``) counts as in focus."""

_HALF_PIXEL_UM = 0.5


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nuclei that lie close together, or a single one.

    Attributes:
        outline_um: Polygon round its nuclei.
        box_um: Its left, top, right and bottom.
        nuclei: Estimated number of nuclei.
        area_um2: Nuclear area.
        nucleus_um: Diameter of its largest object where that is one nucleus, else of its mean nucleus.
        od: Mean optical density of its nuclei, weighted by area.
        blur_um: Edge width of its sharpest object.
    """

    outline_um: BaseGeometry
    box_um: tuple[float, float, float, float]
    nuclei: int
    area_um2: float
    nucleus_um: float
    od: float
    blur_um: float


def group_objects(objects: Sequence[NuclearObject], distance_um: float) -> list[Cluster]:
    """Clusters of objects at most ``distance_um`` apart (edge to edge), by y then x of their top left corner."""
    if not objects:
        return []
    outlines = outlines_of_rings([thing.outline_um for thing in objects], _HALF_PIXEL_UM)
    groups = connected_groups(len(objects), *near_pairs(outlines, distance_um))
    clusters = [
        _cluster([objects[i] for i in group], around(outlines[group], distance_um)) for group in groups
    ]
    return sorted(clusters, key=lambda cluster: (cluster.box_um[1], cluster.box_um[0]))


def _cluster(members: Sequence[NuclearObject], outline: BaseGeometry) -> Cluster:
    points = np.concatenate([thing.outline_um for thing in members])
    (left, top), (right, bottom) = points.min(axis=0) - _HALF_PIXEL_UM, points.max(axis=0) + _HALF_PIXEL_UM
    areas = np.array([thing.area_um2 for thing in members])
    return Cluster(
        outline_um=outline,
        box_um=(float(left), float(top), float(right), float(bottom)),
        nuclei=sum(thing.nuclei for thing in members),
        area_um2=float(areas.sum()),
        nucleus_um=max(thing.diameter_um / np.sqrt(thing.nuclei) for thing in members),
        od=float((areas * np.array([thing.od for thing in members])).sum() / areas.sum()),
        blur_um=min(thing.blur_um for thing in members),
    )
