"""Nuclei of an image: regions of the component tree, or their parts, with the highest total score.

Every nucleus is a candidate at every threshold, whole and split. From the smallest regions to the largest, a region is
selected where it scores higher than the best selection inside it. So each nucleus gets its own threshold, and a clump is
split only where its parts score higher.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from inkdot.morphometry.arrays import Box, Labels, Plane
from inkdot.morphometry.component_tree import ComponentTree, component_tree, edge_strength, thresholds_for
from inkdot.morphometry.half_maximum import half_maximum_labels
from inkdot.morphometry.nuclear_scale import estimate_nuclear_diameter_px
from inkdot.morphometry.nucleus_splitting import Parts, RegionScore, split_nuclei
from inkdot.morphometry.outline_smoothing import smoothed_labels
from inkdot.morphometry.priors import DIAMETER_PX, NOMINAL_AREA_PX, NOMINAL_DIAMETER_UM, PRIORS, Priors
from inkdot.morphometry.stain_planes import blurred, nuclear_stain, scaled
from inkdot.records import MaskArray, Mpp, RgbArray

_START = 0.85
"""The first search is made for nuclei somewhat smaller than estimated: too large a diameter merges clumps."""

_MOST_ROUNDS = 3
_CLOSE_ENOUGH = 1.15

_LARGEST_CLUMP = 60
"""A dark area of more than this many of the largest nuclei is not split at one threshold; higher thresholds separate it."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Nuclei of one image.

    Attributes:
        labels: Number of the nucleus at each pixel of the image, 0 where there is none; numbered from 1 without
            gaps, by first pixel in reading order. Shape [height, width].
        diameter_px: Nuclear diameter in pixels that the search was made for: the nominal one at the known scale,
            or the estimated one.
    """

    labels: Labels
    diameter_px: float


def segment_nuclei(rgb: RgbArray, mpp: Mpp, glass: tuple[float, float, float] | None = None) -> Segmentation:
    """Nuclei in an image of known scale.

    The image is first brought to one working scale, so that the outline of a nucleus does not depend on the
    scanner. Pixels that are not square are made so.

    Args:
        rgb: Shape [height, width, 3].
        mpp: Micrometres per pixel of the image.
        glass: Colour of the slide's empty glass; estimated from the image where None.
    """
    diameter = NOMINAL_DIAMETER_UM / mpp.x
    return _segment(
        rgb, (DIAMETER_PX / diameter, DIAMETER_PX * mpp.y / NOMINAL_DIAMETER_UM), diameter, glass, PRIORS
    )


def segment_at_unknown_scale(rgb: RgbArray, glass: tuple[float, float, float] | None = None) -> Segmentation:
    """Nuclei in an image of unknown scale: the nuclear diameter is estimated in pixels, twice.

    Measurements of the result have no micrometres.
    """
    diameter = estimate_nuclear_diameter_px(nuclear_stain(rgb, glass)) * _START
    for _ in range(_MOST_ROUNDS):
        nuclei = _segment(rgb, (DIAMETER_PX / diameter, DIAMETER_PX / diameter), diameter, glass, PRIORS)
        measured = _typical_diameter_px(nuclei.labels, diameter)
        if 1 / _CLOSE_ENOUGH < measured / diameter < _CLOSE_ENOUGH:
            return nuclei
        diameter = measured
    return _segment(rgb, (DIAMETER_PX / diameter, DIAMETER_PX / diameter), diameter, glass, PRIORS)


def _typical_diameter_px(labels: Labels, otherwise: float) -> float:
    areas = np.bincount(labels.ravel())[1:]
    if areas.size < 3:
        return otherwise
    return float(np.median(np.sqrt(4 / np.pi * areas)))


def _segment(
    rgb: RgbArray,
    factors: tuple[float, float],
    diameter_px: float,
    glass: tuple[float, float, float] | None,
    priors: Priors,
) -> Segmentation:
    height, width = rgb.shape[:2]
    working = _working_image(rgb, factors)
    raw = nuclear_stain(working, glass)
    stain = blurred(raw, priors.smoothing * DIAMETER_PX)
    if float(np.percentile(stain, 99.5)) < _FAINTEST:
        return Segmentation(np.zeros((height, width), np.int32), diameter_px)
    edges = edge_strength(stain, priors)
    score = RegionScore(max(_WEAKEST_EDGE, float(np.percentile(edges, priors.strong_edges))), priors)
    tree = component_tree(stain, edges, thresholds_for(stain, priors), priors)
    darkness = blurred(raw, priors.landscape_smoothing * DIAMETER_PX)
    nuclei = _best_nuclei(tree, darkness, edges, score)
    tight = half_maximum_labels(_painted(nuclei, stain, priors), stain, priors.outline_height)
    labels = smoothed_labels(tight, round(priors.outline_smoothing * DIAMETER_PX))
    return Segmentation(_at_size(labels, height, width), diameter_px)


_FAINTEST = 0.05
"""Stain of the darkest half per cent below which an image holds no nuclei: noise of empty glass stays under it."""

_WEAKEST_EDGE = 0.02


def _working_image(rgb: RgbArray, factors: tuple[float, float]) -> RgbArray:
    along_x, along_y = factors
    if abs(along_x / along_y - 1) < 1e-6:
        return scaled(rgb, along_x)
    size = (max(1, round(rgb.shape[1] * along_x)), max(1, round(rgb.shape[0] * along_y)))
    how = cv2.INTER_AREA if max(factors) < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=how), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class _Nucleus:
    box: Box
    mask: MaskArray
    quality: float


def _best_nuclei(tree: ComponentTree, darkness: Plane, edges: Plane, score: RegionScore) -> list[_Nucleus]:
    """The disjoint regions and parts with the highest total score."""
    priors = score.priors
    least, most = NOMINAL_AREA_PX * priors.smallest**2, NOMINAL_AREA_PX * priors.largest**2
    value = [0.0] * len(tree.regions)
    inside = [False] * len(tree.regions)
    divided: dict[int, Parts] = {}
    for index in range(len(tree.regions) - 1, -1, -1):
        region = tree.regions[index]
        quality = score.shape_credit(region.solidity) * score.edge_credit(region.edge)
        best = max(0.0, score.of(region.area_px, quality))
        if region.solidity < priors.split_below and 2 * least < region.area_px < _LARGEST_CLUMP * most:
            parts = split_nuclei(tree.mask(region), darkness[region.box], edges[region.box], score)
            if parts is not None and parts.score > best:
                best = parts.score
                divided[index] = parts
        if region.children:
            area = sum(tree.regions[child].area_px for child in region.children)
            together = sum(value[child] for child in region.children)
            together *= 1 + priors.mass_credit * (region.area_px - area) / area
            if together > best:
                best, inside[index] = together, True
        value[index] = best
    return _collected(tree, value, inside, divided, score)


def _collected(
    tree: ComponentTree, value: list[float], inside: list[bool], divided: dict[int, Parts], score: RegionScore
) -> list[_Nucleus]:
    nuclei: list[_Nucleus] = []
    open_regions = [index for index, region in enumerate(tree.regions) if region.parent < 0]
    while open_regions:
        index = open_regions.pop()
        region = tree.regions[index]
        if value[index] <= 0:
            continue
        if inside[index]:
            open_regions.extend(region.children)
        elif index in divided:
            parts = divided[index]
            nuclei.extend(
                _Nucleus(region.box, *part) for part in zip(parts.masks, parts.qualities, strict=True)
            )
        else:
            quality = score.shape_credit(region.solidity) * score.edge_credit(region.edge)
            nuclei.append(_Nucleus(region.box, tree.mask(region), quality))
    return nuclei


def _painted(nuclei: list[_Nucleus], stain: Plane, priors: Priors) -> Labels:
    """A label plane of what is dark and convex enough compared with the image's own good nuclei."""
    labels = np.zeros(stain.shape, np.int32)
    means = [float(stain[one.box][one.mask].mean()) for one in nuclei]
    areas = [int(one.mask.sum()) for one in nuclei]
    good = [index for index, one in enumerate(nuclei) if one.quality > 0.5]
    typical = _weighted_percentile([means[i] for i in good], [areas[i] for i in good], 60.0)
    least = NOMINAL_AREA_PX * priors.smallest**2
    number = 0
    for one, mean, area in zip(nuclei, means, areas, strict=True):
        if area < least or one.quality < priors.least_quality or mean < priors.least_stain * typical:
            continue
        number += 1
        labels[one.box][one.mask] = number
    return labels


def _weighted_percentile(values: list[float], weights: list[int], percent: float) -> float:
    if not values:
        return 0.0
    ascending = sorted(zip(values, weights, strict=True))
    target, summed = sum(weights) * percent / 100, 0
    for value, weight in ascending:
        summed += weight
        if summed >= target:
            return value
    return ascending[-1][0]


def _at_size(labels: Labels, height: int, width: int) -> Labels:
    """Labels at the image's own size, numbered by first pixel in reading order."""
    # As float32: OpenCV scales no int32, and labels stay far below 2^24.
    large = cv2.resize(labels.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
    flat = np.asarray(large, dtype=np.int32).ravel()
    numbers, first = np.unique(flat, return_index=True)
    order = np.argsort(first)
    ranked = [int(numbers[i]) for i in order if numbers[i] > 0]
    table = np.zeros(int(flat.max(initial=0)) + 1, np.int32)
    table[ranked] = np.arange(1, len(ranked) + 1, dtype=np.int32)
    return table[flat].reshape(height, width)
