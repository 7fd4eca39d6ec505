"""The few functions of SciPy, scikit-image and OpenCV used here, with types that those libraries state loosely."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import KDTree
from skimage.filters import threshold_otsu
from skimage.measure import find_contours
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from inkdot.records import MaskArray, Mpp

Labels = npt.NDArray[np.int32]
"""Number of the object at each pixel, 0 where there is none, shape [height, width]."""

Plane = npt.NDArray[np.float32]
"""One value per pixel, shape [height, width]."""

Box = tuple[slice, slice]
"""Rows and columns of a bounding box."""


def boxes(labels: Labels) -> list[tuple[int, Box]]:
    """Every label that occurs, ascending, with its bounding box."""
    found = ndimage.find_objects(labels)
    return [(label, cast(Box, box)) for label, box in enumerate(found, start=1) if box is not None]


def tops(landscape: Plane, height: float) -> npt.NDArray[np.uint8]:
    """1 on every summit that rises at least ``height`` above the saddle to a higher one."""
    return np.asarray(h_maxima(landscape, height)).astype(np.uint8)


def flooded(landscape: Plane, markers: npt.NDArray[np.integer], mask: MaskArray) -> Labels:
    """Watershed of a landscape from markers on its summits, within a mask."""
    return np.asarray(watershed(-landscape, markers, mask=mask), dtype=np.int32)


def otsu(plane: Plane) -> float:
    """Otsu's threshold."""
    return float(threshold_otsu(plane))


def contours(mask: MaskArray) -> list[npt.NDArray[np.float64]]:
    """Closed outlines of a mask by marching squares, each [n, 2] as row and column; pixel centres are whole numbers."""
    padded = np.pad(mask, 1).astype(np.float32)
    return [np.asarray(ring, np.float64) - 1.0 for ring in find_contours(padded, 0.5)]


def filled(mask: MaskArray) -> MaskArray:
    """A mask without holes."""
    return np.asarray(ndimage.binary_fill_holes(mask), dtype=np.bool_)


def local_maximum(plane: Plane, side_px: int) -> Plane:
    """Maximum over a square around every pixel."""
    return np.asarray(ndimage.maximum_filter(plane, side_px), dtype=np.float32)


def distance_um(mask: MaskArray, mpp: Mpp) -> npt.NDArray[np.float64]:
    """Distance in µm from every pixel of a mask to the nearest pixel outside; 0 outside."""
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=(mpp.y, mpp.x)))


def steepness(along_x: Plane, along_y: Plane) -> Plane:
    """Length of a gradient. Not cv2.magnitude: its last bits depend on where arrays lie in memory, and results must not."""
    return np.sqrt(along_x * along_x + along_y * along_y)


def nearest_label(labels: Labels, mpp: Mpp) -> tuple[Labels, npt.NDArray[np.float64]]:
    """The label nearest to every pixel, and the distance to it in µm (0 inside). There must be a label."""
    found = ndimage.distance_transform_edt(labels == 0, sampling=(mpp.y, mpp.x), return_indices=True)
    distance, nearest = cast("tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]", found)
    return np.asarray(labels[nearest[0], nearest[1]], dtype=np.int32), distance


def components(
    first: npt.NDArray[np.integer], second: npt.NDArray[np.integer], size: int
) -> npt.NDArray[np.int32]:
    """Component of each of ``size`` nodes under the given pairs."""
    graph = sparse.coo_matrix((np.ones(first.size, np.int8), (first, second)), shape=(size, size))
    return np.asarray(csgraph.connected_components(graph, directed=False)[1], dtype=np.int32)


def close_pairs(points: npt.NDArray[np.float64], distance: float) -> list[tuple[int, int]]:
    """Indices of all pairs of points at most ``distance`` apart, the smaller index first, in ascending order."""
    return sorted(KDTree(points).query_pairs(distance))


def connected(mask: npt.NDArray[np.number] | MaskArray, connectivity: int) -> tuple[int, Labels, Labels]:
    """Connected pieces: their number with the background, a label per pixel, and cv2's statistics per label."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=connectivity
    )
    return int(count), np.asarray(labels, dtype=np.int32), np.asarray(statistics, dtype=np.int32)
