"""Pixels to planes: optical density, and how much nuclear stain a pixel can hold at most."""

from typing import Final, cast

import cv2
import numpy as np

from inkdot.morphometry.arrays import Plane
from inkdot.records import RgbArray

HAEMATOXYLIN_OD: Final = (0.651, 0.701, 0.290)
"""Optical density of haematoxylin in red, green and blue, per unit of concentration (QuPath's default vector)."""

GLASS_PERCENTILE: Final = 97.0


def glass_rgb(rgb: RgbArray) -> tuple[float, float, float]:
    """Colour of the empty background, per channel the 97th percentile.

    A percentile, not the maximum: sensor noise and refractile rims are brighter than glass. Where a tile holds
    no glass at all, pass the slide's own glass to the functions that take it.
    """
    red, green, blue = (float(np.percentile(rgb[..., channel], GLASS_PERCENTILE)) for channel in range(3))
    return red, green, blue


def optical_density(rgb: RgbArray, glass: tuple[float, float, float] | None = None) -> Plane:
    """Beer-Lambert optical density, log10(glass / pixel), shape [height, width, 3], not below 0."""
    white = np.asarray(glass or glass_rgb(rgb), dtype=np.float32)
    light = np.maximum(rgb.astype(np.float32), 1.0)
    return np.maximum(np.log10(np.maximum(white, 1.0) / light), 0.0).astype(np.float32)


def nuclear_stain(rgb: RgbArray, glass: tuple[float, float, float] | None = None) -> Plane:
    """The largest concentration of haematoxylin that a pixel's absorption of red and of green leaves room for.

    Five dyes cannot be unmixed from three channels. But light green absorbs red and hardly any green, eosin and
    orange G green and hardly any red; only haematoxylin (and azure) absorbs both. So the smaller of the two,
    each divided by what haematoxylin absorbs there, is an upper bound of its concentration that is tight in
    nuclei, and low in cytoplasm, keratin and red cells. It holds for Pap, haematoxylin-eosin and MGG alike.

    Args:
        rgb: Shape [height, width, 3].
        glass: Colour of empty glass; estimated from the pixels where None.

    Returns:
        Concentration, 1 for about as dark as a lymphocyte, shape [height, width].
    """
    return nuclear_stain_of(optical_density(rgb, glass))


def nuclear_stain_of(density: Plane) -> Plane:
    """The same from optical density, shape [height, width, 3]; see :func:`nuclear_stain`."""
    return np.minimum(density[..., 0] / HAEMATOXYLIN_OD[0], density[..., 1] / HAEMATOXYLIN_OD[1])


def blurred(plane: Plane, sigma_px: float) -> Plane:
    """Gaussian mean with the given sigma in pixels."""
    return cast(Plane, cv2.GaussianBlur(plane, (0, 0), sigma_px))


def scaled(rgb: RgbArray, factor: float) -> RgbArray:
    """Pixels scaled by ``factor``: area means when shrinking, cubic when enlarging."""
    if abs(factor - 1.0) < 1e-6:
        return rgb
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    height, width = (max(1, round(side * factor)) for side in rgb.shape[:2])
    return cast(RgbArray, cv2.resize(rgb, (width, height), interpolation=how))
