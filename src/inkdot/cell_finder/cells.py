"""From probabilities to cells: centres are the summits of the centre map, nuclei are flooded from them."""

from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.cell_finder.backends import Probabilities
from inkdot.cell_finder.finder_files import FinderFile
from inkdot.morphometry.arrays import Labels, Plane, flooded

_SMOOTHING_PX: Final = 0.8
_SUMMIT_SIDE_PX: Final = 5  # two centres lie at least 3 px apart: 3 µm, less than the radius of any nucleus


@dataclass(frozen=True, slots=True)
class Cells:
    """Nucleated cells of one field.

    Attributes:
        labels: Number of the nucleus at each pixel, 0 where there is none, shape [height, width].
        scores: Probability of each nucleus's centre, from label 1, shape [cells].
    """

    labels: Labels
    scores: npt.NDArray[np.float32]


def cells_of(probabilities: Probabilities, finder: FinderFile, factor: int = 1) -> Cells:
    """Cells from the output of the network.

    Args:
        probabilities: Of "nucleus" and "centre", shape [2, height, width], at 1 µm per pixel.
        finder: The thresholds.
        factor: The outlines are drawn at this multiple of the resolution.
    """
    nucleus, centre = probabilities
    smooth = cast(Plane, cv2.GaussianBlur(centre, (0, 0), _SMOOTHING_PX))
    highest = cv2.dilate(smooth, np.ones((_SUMMIT_SIDE_PX, _SUMMIT_SIDE_PX), np.uint8))
    summits = ((smooth >= highest) & (smooth >= finder.centre_threshold)).astype(np.uint8)
    count, markers = cast(
        "tuple[int, Labels]", cv2.connectedComponents(summits, connectivity=8, ltype=cv2.CV_32S)
    )
    if count == 1:
        return Cells(np.zeros([side * factor for side in nucleus.shape], np.int32), np.zeros(0, np.float32))
    scores = np.zeros(count - 1, np.float32)
    np.maximum.at(scores, markers[markers > 0] - 1, smooth[markers > 0])
    # The centre map separates nuclei that touch; inside of one, "nucleus" is flat.
    landscape = nucleus + smooth
    if factor > 1:
        nucleus, landscape = _enlarged(nucleus, factor), _enlarged(landscape, factor)
        markers = _enlarged_markers(markers, factor)
    labels = flooded(landscape, markers, nucleus >= finder.nucleus_threshold)
    return Cells(labels, scores)


def _enlarged(plane: Plane, factor: int) -> Plane:
    size = (plane.shape[1] * factor, plane.shape[0] * factor)
    return cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR))


def _enlarged_markers(markers: Labels, factor: int) -> Labels:
    large = np.zeros([side * factor for side in markers.shape], np.int32)
    y, x = np.nonzero(markers)
    large[y * factor + factor // 2, x * factor + factor // 2] = markers[y, x]
    return large
