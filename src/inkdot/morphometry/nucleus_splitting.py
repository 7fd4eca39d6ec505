"""Nuclei that touch or overlap: a region's best division into convex, well-edged parts.

A region is first divided too finely, by a watershed from every top of a landscape made of depth and darkness;
then parts are joined as long as the whole is worth more than its pieces. What a part is worth is said by
:class:`RegionScore`, the same for parts and for whole regions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inkdot.morphometry.arrays import Labels, Plane, connected, flooded, tops
from inkdot.morphometry.mask_shape import depth, rim, solidity
from inkdot.morphometry.priors import DIAMETER_PX, NOMINAL_AREA_PX, Priors
from inkdot.morphometry.stain_planes import blurred
from inkdot.records import MaskArray


@dataclass(frozen=True, slots=True)
class RegionScore:
    """How much a region is worth as one nucleus: its area in pixels, times quality, less the cost of an object.

    Attributes:
        strong_edge: Strength of the image's strong edges.
        beliefs: The constants.
    """

    strong_edge: float
    beliefs: Priors

    def edge_credit(self, edge: float) -> float:
        """Credit for the mean edge along a rim: 0 for none, 1 for a strong one, at most 1.2."""
        relative = edge / self.strong_edge
        return min(1.2, relative / (relative + self.beliefs.edge_half) * (1 + self.beliefs.edge_half))

    def shape_credit(self, solid: float) -> float:
        """Credit (0 to 1) for a convex shape."""
        return solid**self.beliefs.solidity_power if solid > 0.4 else 0.0

    def of(self, area_px: float, quality: float) -> float:
        """Score of a region of that area and quality; negative where it is no nucleus."""
        beliefs = self.beliefs
        cost = beliefs.object_cost * NOMINAL_AREA_PX
        return area_px * quality - cost if area_px <= NOMINAL_AREA_PX * beliefs.largest**2 else -cost


@dataclass(slots=True)
class _Part:
    mask: MaskArray
    area_px: int
    worth: float
    quality: float


@dataclass(frozen=True, slots=True)
class Parts:
    """A division of a region: masks within its box, the quality of each, and their worth together."""

    masks: list[MaskArray]
    qualities: list[float]
    worth: float


def split_nuclei(region: MaskArray, darkness: Plane, edges: Plane, worth: RegionScore) -> Parts | None:
    """The best division of a region into nuclei, or None where it has a single top.

    Args:
        region: The region within its box.
        darkness: Smoothed nuclear stain, same shape.
        edges: Strength of edges, same shape.
        worth: What a part is worth.
    """
    pieces = _fine_pieces(region, darkness, worth.beliefs)
    if pieces is None:
        return None
    labels, count = pieces
    outside = rim(region)

    def part_of(mask: MaskArray) -> _Part:
        area = int(mask.sum())
        quality = _quality(mask, outside, edges, worth)
        return _Part(mask, area, worth.of(area, quality), quality)

    parts = {label: part_of(labels == label) for label in range(1, count + 1)}
    _join(parts, _neighbours(labels), part_of)
    kept = [part for part in parts.values() if part.worth > 0]
    return Parts(
        [part.mask for part in kept], [part.quality for part in kept], sum(part.worth for part in kept)
    )


def _quality(mask: MaskArray, outside: MaskArray, edges: Plane, worth: RegionScore) -> float:
    whole = int(rim(mask).sum())
    outer = mask & outside
    free = int(outer.sum())
    cut = max(0, whole - free)
    credit = worth.edge_credit(float(edges[outer].mean())) if free else 0.0
    edge = (free * credit + cut * worth.beliefs.cut_credit) / max(1, free + cut)
    return worth.shape_credit(solidity(mask)) * edge


def _fine_pieces(region: MaskArray, darkness: Plane, beliefs: Priors) -> tuple[Labels, int] | None:
    deep = blurred(depth(region), DIAMETER_PX / 24)
    landscape = np.where(region, np.minimum(deep, beliefs.depth_cap * DIAMETER_PX) * darkness, 0.0).astype(
        np.float32
    )
    summits = tops(landscape, beliefs.parting * float(landscape.max()))
    summits[~region] = 0
    count, markers, _ = connected(summits, 8)
    if count <= 2:
        return None
    return flooded(landscape, markers, region), count - 1


def _neighbours(labels: Labels) -> set[tuple[int, int]]:
    pairs: set[tuple[int, int]] = set()
    for one, other in ((labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1])):
        touching = (one != other) & (one > 0) & (other > 0)
        for first, second in zip(one[touching].tolist(), other[touching].tolist(), strict=True):
            pairs.add((min(first, second), max(first, second)))
    return pairs


def _join(
    parts: dict[int, _Part], pairs: set[tuple[int, int]], part_of: Callable[[MaskArray], _Part]
) -> None:
    """Join the two neighbours that gain most, again and again, until none gains."""

    def joined(pair: tuple[int, int]) -> tuple[float, _Part]:
        one, other = parts[pair[0]], parts[pair[1]]
        whole = part_of(one.mask | other.mask)
        return whole.worth - max(one.worth, 0.0) - max(other.worth, 0.0), whole

    gains: dict[tuple[int, int], tuple[float, _Part]] = {pair: joined(pair) for pair in sorted(pairs)}
    while gains:
        best = max(gains, key=lambda pair: (gains[pair][0], pair))
        gain, whole = gains[best]
        if gain <= 0:
            return
        kept, gone = best
        around = {label for pair in gains if pair != best and set(pair) & set(best) for label in pair} - set(
            best
        )
        parts[kept] = whole
        del parts[gone]
        gains = {pair: value for pair, value in gains.items() if not set(pair) & set(best)}
        for label in sorted(around):
            pair = (min(kept, label), max(kept, label))
            gains[pair] = joined(pair)
