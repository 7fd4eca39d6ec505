"""Objects to clusters: nuclei that lie close together in one field of view, the unit that a pathologist reviews.

Nuclei at most ``tiling.cluster_distance_um`` apart are a group, through others too. On dense fluid that joins a
hundred cells over half a millimetre, so a group that does not fit a tile is cut into fields: its nuclei are joined
again, nearest first, as long as they fit. What lies closer together than to anything else, and fits, is therefore
never cut. An object that is itself larger than a field (a fibre, a sheet found as one) stays whole.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from inkdot.config import TilingConfig
from inkdot.tiling.clusters.find_objects import NuclearObject
from inkdot.tiling.polygon_overlap import (
    Indices,
    Outlines,
    around,
    connected_groups,
    gaps,
    near_pairs,
    outlines_of_rings,
)

MARGIN_UM: Final = 4.0
"""Surroundings shown with a cluster, on each side."""

IN_FOCUS_BLUR_UM: Final = 2.2
"""An edge at most this wide (µm, see ``NuclearObject.blur_um``) counts as in focus."""

_HALF_PIXEL_UM = 0.5

Boxes = npt.NDArray[np.float64]
"""Left, top, right and bottom in µm, shape [n, 4]."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nuclei that lie close together in one field, or a single one.

    Attributes:
        outline_um: Polygon round its nuclei.
        box_um: Its left, top, right and bottom.
        nuclei: Estimated number of nuclei.
        group_nuclei: Those of the whole group that it is a field of; its own where the group fits one field.
        area_um2: Nuclear area.
        nucleus_um: Diameter of its largest object where that is one nucleus, else of its mean nucleus.
        od: Mean optical density of its nuclei, weighted by area.
        blur_um: Edge width of its sharpest object.
    """

    outline_um: BaseGeometry
    box_um: tuple[float, float, float, float]
    nuclei: int
    group_nuclei: int
    area_um2: float
    nucleus_um: float
    od: float
    blur_um: float


def find_clusters(objects: Sequence[NuclearObject], tiling: TilingConfig) -> list[Cluster]:
    """Clusters of a slide, as its settings have it; see :func:`group_objects`."""
    field_um = max(0.0, float(tiling.spec.side_um) - 2.0 * MARGIN_UM) if tiling.fields else None
    return group_objects(objects, tiling.cluster_distance_um, field_um)


def group_objects(
    objects: Sequence[NuclearObject], distance_um: float, field_um: float | None = None
) -> list[Cluster]:
    """Clusters of objects at most ``distance_um`` apart (edge to edge), by y then x of their top left corner.

    Args:
        objects: Of one slide, in any order.
        distance_um: Largest gap inside a group.
        field_um: A group that is wider or higher is cut into fields; None leaves groups of any size.
    """
    if not objects:
        return []
    outlines = outlines_of_rings([thing.outline_um for thing in objects], _HALF_PIXEL_UM)
    first, second = near_pairs(outlines, distance_um)
    groups = connected_groups(len(objects), first, second)
    boxes = np.array([_box([thing]) for thing in objects])
    limit = np.inf if field_um is None else field_um
    fields = _fields(groups, outlines, boxes, (first, second), limit)
    clusters: list[Cluster] = []
    for group, parts in zip(groups, fields, strict=True):
        nuclei = sum(objects[i].nuclei for i in group)
        for part in parts:
            outline = around(outlines[part], distance_um)
            clusters.append(_cluster([objects[i] for i in part], outline, nuclei))
    return sorted(clusters, key=lambda cluster: (cluster.box_um[1], cluster.box_um[0]))


def _fields(
    groups: Sequence[list[int]],
    outlines: Outlines,
    boxes: Boxes,
    pairs: tuple[Indices, Indices],
    field_um: float,
) -> list[list[list[int]]]:
    """Per group, its fields: itself where it fits one."""
    group_of = np.empty(len(boxes), np.intp)
    for number, group in enumerate(groups):
        group_of[group] = number
    whole = np.array([_fits(_hull(boxes[group]), field_um) for group in groups])
    cut = ~whole[group_of[pairs[0]]]
    first, second = pairs[0][cut], pairs[1][cut]
    middles = 0.5 * (boxes[:, :2] + boxes[:, 2:])
    # Touching nuclei have no gap: of these the ones whose middles are nearest come first. Then by place, so that the
    # order of the objects changes nothing.
    place = np.argsort(np.lexsort(boxes.T[::-1]))
    upper, lower = np.minimum(place[first], place[second]), np.maximum(place[first], place[second])
    apart = np.hypot(*(middles[first] - middles[second]).T)
    order = np.lexsort((lower, upper, apart, gaps(outlines, first, second)))
    nearest_first: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for pair in order.tolist():
        nearest_first[int(group_of[first[pair]])].append((int(first[pair]), int(second[pair])))
    return [
        [group] if whole[number] else _joined(group, boxes, nearest_first[number], field_um)
        for number, group in enumerate(groups)
    ]


def _joined(
    group: Sequence[int], boxes: Boxes, nearest_first: Iterable[tuple[int, int]], field_um: float
) -> list[list[int]]:
    """Members joined pair by pair, where what they belong to so far fits one field."""
    field_of = {member: member for member in group}
    members = {member: [member] for member in group}
    box_of = {member: boxes[member] for member in group}
    for one, other in nearest_first:
        kept, added = field_of[one], field_of[other]
        if kept == added:
            continue
        box = _hull(np.stack([box_of[kept], box_of[added]]))
        if not _fits(box, field_um):
            continue
        box_of[kept] = box
        for member in members[added]:
            field_of[member] = kept
        members[kept] += members.pop(added)
    return [sorted(field) for field in members.values()]


def _hull(boxes: Boxes) -> Boxes:
    """The box round boxes, shape [4]."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def _fits(box: Boxes, field_um: float) -> bool:
    return bool((box[2:] - box[:2] <= field_um).all())


def _box(members: Sequence[NuclearObject]) -> tuple[float, float, float, float]:
    points = np.concatenate([thing.outline_um for thing in members])
    (left, top), (right, bottom) = points.min(axis=0) - _HALF_PIXEL_UM, points.max(axis=0) + _HALF_PIXEL_UM
    return float(left), float(top), float(right), float(bottom)


def _cluster(members: Sequence[NuclearObject], outline: BaseGeometry, group_nuclei: int) -> Cluster:
    areas = np.array([thing.area_um2 for thing in members])
    return Cluster(
        outline_um=outline,
        box_um=_box(members),
        nuclei=sum(thing.nuclei for thing in members),
        group_nuclei=group_nuclei,
        area_um2=float(areas.sum()),
        nucleus_um=max(thing.diameter_um / np.sqrt(thing.nuclei) for thing in members),
        od=float((areas * np.array([thing.od for thing in members])).sum() / areas.sum()),
        blur_um=min(thing.blur_um for thing in members),
    )
