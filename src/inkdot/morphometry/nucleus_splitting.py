"""Splitting of nuclei that touch or overlap into convex parts with strong edges.

A region is first over-segmented, by a watershed from every maximum of a landscape of depth and darkness. Parts are then
merged as long as the whole scores higher than its pieces. :class:`RegionScore` scores parts and whole regions alike.
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
    """Score of a region as one nucleus: its area in pixels, times quality, less the cost of an object.

    Attributes:
        strong_edge: Strength of the image's strong edges.
        priors: The constants.
    """

    strong_edge: float
    priors: Priors

    def edge_credit(self, edge: float) -> float:
        """Credit for the mean edge along a rim: 0 for none, 1 for a strong one, at most 1.2."""
        relative = edge / self.strong_edge
        return min(1.2, relative / (relative + self.priors.edge_half) * (1 + self.priors.edge_half))

    def shape_credit(self, solid: float) -> float:
        """Credit (0 to 1) for a convex shape."""
        return solid**self.priors.solidity_power if solid > 0.4 else 0.0

    def of(self, area_px: float, quality: float) -> float:
        """Score of a region of that area and quality; negative where it is no nucleus."""
        priors = self.priors
        cost = priors.object_cost * NOMINAL_AREA_PX
        return area_px * quality - cost if area_px <= NOMINAL_AREA_PX * priors.largest**2 else -cost


@dataclass(slots=True)
class _Part:
    mask: MaskArray
    area_px: int
    score: float
    quality: float


@dataclass(frozen=True, slots=True)
class Parts:
    """A division of a region: masks within its box, the quality of each, and the sum of their scores."""

    masks: list[MaskArray]
    qualities: list[float]
    score: float


def split_nuclei(region: MaskArray, darkness: Plane, edges: Plane, score: RegionScore) -> Parts | None:
    """Split a region into nuclei; None where it has a single maximum.

    Args:
        region: The region within its box.
        darkness: Smoothed nuclear stain, same shape.
        edges: Strength of edges, same shape.
        score: Scores a part.
    """
    pieces = _fine_pieces(region, darkness, score.priors)
    if pieces is None:
        return None
    labels, count = pieces
    outside = rim(region)

    def part_of(mask: MaskArray) -> _Part:
        area = int(mask.sum())
        quality = _quality(mask, outside, edges, score)
        return _Part(mask, area, score.of(area, quality), quality)

    parts = {label: part_of(labels == label) for label in range(1, count + 1)}
    _join(parts, _neighbours(labels), part_of)
    kept = [part for part in parts.values() if part.score > 0]
    return Parts(
        [part.mask for part in kept], [part.quality for part in kept], sum(part.score for part in kept)
    )


def _quality(mask: MaskArray, outside: MaskArray, edges: Plane, score: RegionScore) -> float:
    whole = int(rim(mask).sum())
    outer = mask & outside
    free = int(outer.sum())
    cut = max(0, whole - free)
    credit = score.edge_credit(float(edges[outer].mean())) if free else 0.0
    edge = (free * credit + cut * score.priors.cut_credit) / max(1, free + cut)
    return score.shape_credit(solidity(mask)) * edge


def _fine_pieces(region: MaskArray, darkness: Plane, priors: Priors) -> tuple[Labels, int] | None:
    deep = blurred(depth(region), DIAMETER_PX / 24)
    landscape = np.where(region, np.minimum(deep, priors.depth_cap * DIAMETER_PX) * darkness, 0.0).astype(
        np.float32
    )
    summits = tops(landscape, priors.split_depth * float(landscape.max()))
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
    """Merge the two neighbours with the highest gain until no merge gains."""

    def joined(pair: tuple[int, int]) -> tuple[float, _Part]:
        one, other = parts[pair[0]], parts[pair[1]]
        whole = part_of(one.mask | other.mask)
        return whole.score - max(one.score, 0.0) - max(other.score, 0.0), whole

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
