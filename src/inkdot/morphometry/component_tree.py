"""All regions darker than some threshold, as a tree: each lies inside its parent, the region of a lower threshold.

A nucleus of any stain strength is one of these regions at the threshold that suits it, so no threshold has to
be chosen for the image.
"""

from dataclasses import dataclass, field
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.morphometry.arrays import Box, Labels, Plane, connected, steepness
from inkdot.morphometry.mask_shape import solidity
from inkdot.morphometry.priors import DIAMETER_PX, NOMINAL_AREA_PX, Priors
from inkdot.records import MaskArray

_DISC: Final = np.ascontiguousarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
_FULL: Final = np.ones((3, 3), np.uint8)


@dataclass(slots=True)
class Region:
    """One connected dark region.

    Attributes:
        level: Index of its threshold.
        label: Its number among the regions of the level.
        box: Rows and columns of its bounding box.
        area_px: Number of pixels.
        edge: Mean strength of the edge along its rim.
        solidity: Area as a fraction (0 to 1) of the convex hull's; 0 for regions too large to be a nucleus.
        children: Indices of the regions directly inside it.
        parent: Index of the region around it, or -1.
    """

    level: int
    label: int
    box: Box
    area_px: int
    edge: float
    solidity: float
    parent: int
    children: list[int] = field(default_factory=list[int])


@dataclass(frozen=True, slots=True)
class ComponentTree:
    """Regions, every parent before its children, and the label planes they refer to."""

    regions: list[Region]
    planes: list[Labels]

    def mask(self, region: Region) -> MaskArray:
        """The pixels of a region within its box."""
        return self.planes[region.level][region.box] == region.label


def component_tree(
    stain: Plane, edges: Plane, thresholds: npt.NDArray[np.float64], priors: Priors
) -> ComponentTree:
    """The tree of regions with at least the area of the smallest nucleus.

    Args:
        stain: Nuclear stain at the working scale, shape [height, width].
        edges: Strength of edges, same shape.
        thresholds: Ascending.
        priors: Sizes of nuclei and of the pale spots inside them.
    """
    least = NOMINAL_AREA_PX * priors.smallest**2
    most = NOMINAL_AREA_PX * priors.largest**2
    regions: list[Region] = []
    planes: list[Labels] = []
    parents = np.full(1, -1)
    for threshold in thresholds:
        mask = _dark(stain, float(threshold), priors)
        count, labels, boxes = connected(mask, 4)
        if count == 1:
            break
        edge = _mean_edge(mask, labels, count, edges)
        indices = np.full(count, -1)
        for label in range(1, count):
            left, top, width, height, area = (int(value) for value in boxes[label])
            if area < least:
                continue
            box = (slice(top, top + height), slice(left, left + width))
            inside = labels[box] == label
            parent = -1
            if planes:
                row, column = divmod(int(np.argmax(inside)), width)
                parent = int(parents[planes[-1][top + row, left + column]])
            shape = solidity(inside) if area <= most else 0.0
            indices[label] = len(regions)
            if parent >= 0:
                regions[parent].children.append(len(regions))
            regions.append(Region(len(planes), label, box, area, float(edge[label]), shape, parent))
        planes.append(labels)
        parents = indices
    return ComponentTree(regions, planes)


def _dark(stain: Plane, threshold: float, priors: Priors) -> npt.NDArray[np.uint8]:
    """What is darker than the threshold, small pale spots filled and single-pixel bridges cut.

    Each step keeps a mask inside that of a lower threshold: that makes the regions a tree.
    """
    mask = stain > threshold
    _, pale, boxes = connected(~mask, 8)
    small = boxes[:, cv2.CC_STAT_AREA] < NOMINAL_AREA_PX * priors.hole**2
    small[0] = False
    filled = (mask | small[pale]).astype(np.uint8)
    return cast("npt.NDArray[np.uint8]", cv2.morphologyEx(filled, cv2.MORPH_OPEN, _DISC))


def _mean_edge(
    mask: npt.NDArray[np.uint8], labels: npt.NDArray[np.integer], count: int, edges: Plane
) -> npt.NDArray[np.float64]:
    inner = cv2.erode(mask, _FULL, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    on_rim = (mask > 0) & (inner == 0)
    number = np.bincount(labels[on_rim], minlength=count)
    total = np.bincount(labels[on_rim], weights=edges[on_rim], minlength=count)
    return total / np.maximum(number, 1)


def thresholds_for(stain: Plane, priors: Priors) -> npt.NDArray[np.float64]:
    """Evenly spaced thresholds from just above the background to the darkest nuclei."""
    darkest = float(np.percentile(stain, 99.5))
    return np.linspace(priors.lowest_level * darkest + 0.03, darkest * 0.95, priors.levels)


def edge_strength(stain: Plane, priors: Priors) -> Plane:
    """Gradient of the stain per working pixel."""
    smooth = cv2.GaussianBlur(stain, (0, 0), priors.edge_smoothing * DIAMETER_PX)
    along_x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    along_y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    return steepness(cast(Plane, along_x), cast(Plane, along_y))
