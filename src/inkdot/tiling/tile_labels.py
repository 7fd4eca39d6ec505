"""Training targets of tiles, from labels of regions and slides.

A tile may hold several regions, and a region may be cut by a tile's edge. The rules:

- A region *counts* for a tile when enough of the region lies in the tile, or it covers enough of the tile.
- Labels of several readers about one region average. Two readers' outlines of one thing (they overlap by
  at least half of their union) are one region.
- For the flagging head, the region most in favour of the flag class decides: one malignant cluster among
  lymphocytes makes a malignant tile. For other heads the regions that count average.
- A tile that holds only a piece of a flagged region, too small to count, is unknown: it is an example of
  neither class. So is one whose only label is not used in training ("unsure").
- A label of the slide holds for its unlabelled tiles only where it excludes the flag class: a benign slide is
  benign everywhere, a malignant one is malignant somewhere.
- A head with a condition is known only where its condition holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from inkdot.config import LabellingConfig
from inkdot.labels import Head, target_column
from inkdot.storage.tables.labels_table import RegionLabel
from inkdot.tiling.polygon_overlap import Outlines, areas, as_outlines, boxes, connected_groups, overlaps

Floats = npt.NDArray[np.float64]
Targets = npt.NDArray[np.float64]
"""Weights per tile and class, shape [tiles, classes]; a row of NaN is unknown."""

_SAME_REGION_IOU = 0.5
_SURE = 0.5  # a condition holds where its class has more than this weight


@dataclass(frozen=True, slots=True)
class TileBoxes:
    """Positions of tiles of one size.

    Attributes:
        x_l0_px: Left edges in level-0 pixels, shape [n].
        y_l0_px: Top edges in level-0 pixels, shape [n].
        width_l0_px: Width of a tile in (fractional) level-0 pixels.
        height_l0_px: Height of a tile in (fractional) level-0 pixels.
    """

    x_l0_px: npt.NDArray[np.integer]
    y_l0_px: npt.NDArray[np.integer]
    width_l0_px: float
    height_l0_px: float


def target_columns_for(
    tiles: TileBoxes,
    heads: Sequence[Head],
    regions: Sequence[RegionLabel],
    on_slide: Mapping[str, str],
    labelling: LabellingConfig,
) -> dict[str, npt.NDArray[np.float32]]:
    """Targets of every tile.

    Args:
        tiles: The tiles.
        heads: The heads.
        regions: Labels of regions on this slide.
        on_slide: Label of the slide by head; unknown heads are absent.
        labelling: When a region counts for a tile.

    Returns:
        ``target.<head>.<class>`` to weights (0 to 1), NaN where unknown, shape [n].
    """
    known: dict[str, Targets] = {}
    by_name = {head.name: head for head in heads}
    for head in _conditions_first(heads):
        of_head = [region for region in regions if region.head == head.name]
        targets, undecided = _from_regions(tiles, head, of_head, labelling)
        condition = _weight_of_condition(head, by_name, known)
        unlabelled = np.isnan(targets[:, 0]) & ~undecided
        if condition is not None:
            unlabelled &= condition > _SURE  # False where unknown (NaN)
            targets[condition < _SURE] = np.nan
        weights = _label_for_every_tile(head, on_slide.get(head.name))
        if weights is not None:
            targets[unlabelled] = weights
        known[head.name] = targets
    return {
        target_column(head.name, name): known[head.name][:, index].astype(np.float32)
        for head in heads
        for index, name in enumerate(head.classes)
    }


def _conditions_first(heads: Sequence[Head]) -> list[Head]:
    """Heads so that each stands after the one it depends on."""
    done: list[Head] = []
    waiting = list(heads)
    while waiting:
        names = {head.name for head in waiting}
        ready = [head for head in waiting if head.condition is None or head.condition[0] not in names]
        if not ready:
            raise ValueError(
                f"expected heads whose conditions end somewhere, found a circle among {sorted(names)}"
            )
        done += ready
        waiting = [head for head in waiting if head not in ready]
    return done


def _from_regions(
    tiles: TileBoxes, head: Head, regions: Sequence[RegionLabel], labelling: LabellingConfig
) -> tuple[Targets, npt.NDArray[np.bool_]]:
    """Targets from regions alone, and the tiles that stay unknown whatever the label of the slide."""
    count = len(tiles.x_l0_px)
    targets = np.full((count, len(head.classes)), np.nan)
    undecided = np.zeros(count, np.bool_)
    if not regions or not count:
        return targets, undecided
    outlines, mean_targets = _merged_regions(head, regions)
    tile, region, counts = _overlapping_pairs(tiles, outlines, labelling)
    weights = mean_targets[region]
    usable = ~np.isnan(weights[:, 0])
    decisive = counts & usable
    flag = head.classes.index(head.flag_class) if head.flag_class else None
    if flag is None:
        sums = np.zeros_like(targets)
        np.add.at(sums, tile[decisive], weights[decisive])
        numbers = np.bincount(tile[decisive], minlength=count)
        targets[numbers > 0] = sums[numbers > 0] / numbers[numbers > 0, None]
        undecided[tile[counts & ~usable]] = True
        return targets, undecided & (numbers == 0)
    # In ascending order of the flag's weight, so that the strongest is written last and stays.
    order = np.flatnonzero(decisive)
    order = order[np.lexsort((region[order], weights[order, flag]))]
    targets[tile[order]] = weights[order]
    flagged_piece = usable & (weights[:, flag] > 0.0) & ~counts
    undecided[tile[flagged_piece | ~usable]] = True
    undecided &= ~(targets[:, flag] > 0.0)
    targets[undecided] = np.nan
    return targets, undecided


def _merged_regions(head: Head, regions: Sequence[RegionLabel]) -> tuple[Outlines, Targets]:
    """Outlines and their mean targets; different outlines of one thing each carry the mean of all its labels.

    Returns:
        Outlines, shape [regions], and weights, shape [regions, classes], NaN where no label is usable.
    """
    labels: dict[BaseGeometry, list[tuple[str, str]]] = {}
    for label in regions:
        labels.setdefault(label.geometry.normalize(), []).append((label.reader, label.label))
    # Sorted, so that the order of the table changes nothing.
    geometries = sorted(labels, key=lambda geometry: geometry.wkb)
    outlines = as_outlines(geometries)
    mean_targets = np.full((len(outlines), len(head.classes)), np.nan)
    for members in _groups_of_same_region(outlines, [labels[geometry] for geometry in geometries]):
        pooled = sorted(label for member in members for _, label in labels[geometries[member]])
        mean = head.soft_target(pooled)
        if mean is not None:
            mean_targets[members] = mean
    return outlines, mean_targets


def _groups_of_same_region(
    outlines: Outlines, labels: Sequence[Sequence[tuple[str, str]]]
) -> list[list[int]]:
    """Indices of outlines that mean one thing: by different readers, overlapping by half of their union."""
    first, second, shared = overlaps(outlines, outlines)
    area = areas(outlines)
    same = (first < second) & (shared >= _SAME_REGION_IOU * (area[first] + area[second] - shared))
    readers = [{reader for reader, _ in of_outline} for of_outline in labels]
    pairs = [
        (a, b)
        for a, b in zip(first[same], second[same], strict=True)
        if readers[int(a)].isdisjoint(readers[int(b)])
    ]
    joined = np.array(pairs, np.intp).reshape(-1, 2)
    return connected_groups(len(outlines), joined[:, 0], joined[:, 1])


def _overlapping_pairs(
    tiles: TileBoxes, outlines: Outlines, labelling: LabellingConfig
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Every tile and region that share some area, and whether the region counts for the tile.

    Returns:
        Tile indices, region indices and whether the region counts, each of shape [pairs].
    """
    corners = boxes(tiles.x_l0_px, tiles.y_l0_px, tiles.width_l0_px, tiles.height_l0_px)
    region, tile, shared = overlaps(outlines, corners)
    of_region = shared / areas(outlines)[region]
    of_tile = shared / (tiles.width_l0_px * tiles.height_l0_px)
    # Tolerance for rounding: a region wholly inside must count at a fraction of 1.
    counts = (of_region >= labelling.min_region_fraction - 1e-9) | (
        of_tile >= labelling.min_tile_fraction - 1e-9
    )
    return tile, region, counts


def _weight_of_condition(
    head: Head, by_name: Mapping[str, Head], known: Mapping[str, Targets]
) -> Floats | None:
    """Weight (0 to 1, NaN unknown) per tile of the class that the head depends on, or None without condition."""
    if head.condition is None:
        return None
    other, class_name = head.condition
    return known[other][:, by_name[other].classes.index(class_name)]


def _label_for_every_tile(head: Head, label: str | None) -> tuple[float, ...] | None:
    """Target of every tile from the label of the slide; None where it decides nothing."""
    weights = head.target(label)
    if weights is None or head.flag_class is None:
        return weights
    return None if weights[head.classes.index(head.flag_class)] > 0.0 else weights
