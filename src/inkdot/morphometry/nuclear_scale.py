"""How large nuclei are in an image of unknown scale, in pixels."""

from typing import Final

import cv2
import numpy as np

from inkdot.morphometry.arrays import Plane, local_maximum, otsu
from inkdot.morphometry.stain_planes import blurred

_SMALLEST_PX: Final = 8.0
_LARGEST_PX: Final = 80.0
_BIAS: Final = 1.05
"""The estimate exceeds the median of annotated diameters by this factor, on 53 images (docs/explanation/morphometry.md)."""


def estimate_nuclear_diameter_px(stain: Plane) -> float:
    """Typical nuclear diameter in pixels, to within about a quarter: good enough to search by, not to report.

    The geometric mean of two estimates that err in opposite directions: the scale at which the image's bands
    (differences of Gaussians) vary most, which clumps enlarge, and the depth of dark areas, which fragments
    diminish.

    Args:
        stain: Nuclear stain, shape [height, width].

    Returns:
        Diameter in pixels, 8 to 80.
    """
    plane = np.minimum(stain, np.percentile(stain, 99.5)).astype(np.float32)
    banded = _strongest_band_px(plane)
    deep = _depth_px(plane)
    estimate = float(np.sqrt(banded * deep)) / _BIAS if deep > 0 else banded
    return float(np.clip(estimate, _SMALLEST_PX, _LARGEST_PX))


def _strongest_band_px(plane: Plane) -> float:
    diameters = np.geomspace(_SMALLEST_PX, _LARGEST_PX, 24)
    return float(
        diameters[int(np.argmax([_band_variance(plane, float(diameter)) for diameter in diameters]))]
    )


def _band_variance(plane: Plane, diameter_px: float) -> float:
    sigma = diameter_px / 2 / np.sqrt(2)  # the scale with the strongest response to a disc of that diameter
    band = blurred(plane, float(sigma / 1.26)) - blurred(plane, float(sigma * 1.26))
    return float(band.var())


def _depth_px(plane: Plane) -> float:
    """Twice the mean depth of the tops of dark areas, deep ones counting more; 0 where there is none."""
    if float(plane.max()) <= float(plane.min()):
        return 0.0
    mask = (plane > otsu(plane)).astype(np.uint8)
    depth = np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, 5), dtype=np.float32)
    tops = depth[(depth == local_maximum(depth, 7)) & (depth > 2)]
    return 2 * float(np.average(tops, weights=tops**2)) if tops.size else 0.0
