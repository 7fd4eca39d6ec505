"""Micrometres per pixel (mpp) of a slide: from the slide table, else from the file, else an error.

The magnification is never used: "20x" stands for anything from 0.23 to 0.55 µm/px.
"""

import html
import math
import re
from collections.abc import Mapping
from typing import Final

from inkdot.errors import ImplausibleMppError, MissingMppError
from inkdot.manifest.stated_scale import COARSEST_PLAUSIBLE, FINEST_PLAUSIBLE
from inkdot.records import Mpp, MppSource
from inkdot.units import MicrometresPerPixel

LARGEST_ANISOTROPY_FRACTION = 0.05
"""x and y may differ by this fraction (0 to 1) of the larger; beyond it one of them is probably wrong."""

_UM_OF_UNIT: Final = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
"""Units in OME-XML; µ may be either of two characters that look alike."""

_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\s[^>]*>")
_CHANGE = "state the true value in the column `mpp`, or with --mpp where a command has it"


def resolve_mpp(name: str, in_file: Mpp | None, stated: Mpp | None) -> tuple[Mpp, MppSource]:
    """Choose the sampling distance of a slide, and name its source.

    Args:
        name: The slide, for the message.
        in_file: Value in the metadata of the file, or None.
        stated: Value in the slide table or on the command line, or None; used without a check.

    Raises:
        MissingMppError: There is neither.
        ImplausibleMppError: The value in the file is outside 0.08 to 2.0 µm/px, or differs by more than 5 %
            between x and y, and none is stated.
    """
    if stated is not None:
        return stated, "manifest"
    if in_file is None:
        raise MissingMppError(f"{name}: expected micrometres per pixel in the file, found none; {_CHANGE}")
    if not all(FINEST_PLAUSIBLE <= value <= COARSEST_PLAUSIBLE for value in (in_file.x, in_file.y)):
        raise ImplausibleMppError(
            f"{name}: expected {FINEST_PLAUSIBLE:g} to {COARSEST_PLAUSIBLE:g} µm/px in the file, "
            f"found {in_file.x:.4g} x {in_file.y:.4g}; {_CHANGE}"
        )
    if in_file.anisotropy_fraction > LARGEST_ANISOTROPY_FRACTION:
        raise ImplausibleMppError(
            f"{name}: expected µm/px along x and y within {LARGEST_ANISOTROPY_FRACTION:.0%} of each other, "
            f"found {in_file.x:.4g} x {in_file.y:.4g} in the file; {_CHANGE}"
        )
    return in_file, "metadata"


def mpp_from_properties(properties: Mapping[str, str], x_key: str, y_key: str) -> Mpp | None:
    """Read µm/px from OpenSlide properties; None unless both are positive numbers."""
    values: list[float] = []
    for key in (x_key, y_key):
        try:
            value = float(properties[key])
        except (KeyError, ValueError):
            return None
        if not (math.isfinite(value) and value > 0):
            return None
        values.append(value)
    return Mpp(MicrometresPerPixel(values[0]), MicrometresPerPixel(values[1]))


def mpp_from_ome(description: str) -> Mpp | None:
    """Read µm/px from the OME-XML in the description of a TIFF; None where it has none.

    Only the two numbers and their units are read, from the first image; the XML is not parsed.

    Args:
        description: Text of the tag ImageDescription.
    """
    if "<OME" not in description and ":OME" not in description:
        return None
    pixels = _OME_PIXELS.search(description)
    sizes = [_ome_size(pixels[0], axis) for axis in "XY"] if pixels else [None]
    if any(size is None for size in sizes):
        return None
    x, y = (MicrometresPerPixel(size) for size in sizes if size is not None)
    return Mpp(x, y)


def _ome_size(element: str, axis: str) -> float | None:
    """PhysicalSizeX or Y in µm; None where missing, not positive, or in an unknown unit."""
    stated = {
        name: re.search(rf"""\bPhysicalSize{axis}{name}\s*=\s*["']([^"']*)["']""", element)
        for name in ("", "Unit")
    }
    if stated[""] is None:
        return None
    unit = html.unescape(stated["Unit"][1]).strip() if stated["Unit"] else "µm"
    try:
        size = float(stated[""][1]) * _UM_OF_UNIT[unit]
    except (KeyError, ValueError):
        return None
    return size if math.isfinite(size) and size > 0 else None
