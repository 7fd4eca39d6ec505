"""Outlines at the half maximum, where the stain has fallen half-way from nucleus to surroundings.

The region of highest score often includes the blur and the thin rim of cytoplasm of a lymphocyte, a sixth of its
diameter. A blurred step has its edge half-way between inside and outside.
"""

from typing import Final, cast

import cv2
import numpy as np

from inkdot.morphometry.arrays import Box, Labels, Plane, boxes, connected, filled
from inkdot.morphometry.mask_shape import depth, solidity
from inkdot.records import MaskArray

HALF_MAXIMUM: Final = 0.5

_NEAR_PX, _FAR_PX = 2, 5
_ENOUGH_PX = 12
_LEAST_SHARE = 0.5
_LOST_SOLIDITY = 0.03


def half_maximum_labels(labels: Labels, stain: Plane, fraction: float = HALF_MAXIMUM) -> Labels:
    """Shrink every label to what is darker than half-way between its inside and what surrounds it.

    Outlines towards a touching nucleus stay: there is no background beyond. A label that would lose more than half of its
    area, or its round shape, is left unchanged: its inside is uneven (folded, overlapping, vesicular).

    Args:
        labels: At the working scale, shape [height, width].
        stain: Nuclear stain, same shape.
        fraction: Where between surroundings (0) and inside (1) the outline lies.
    """
    result = labels.copy()
    for number, box in boxes(labels):
        wide = _widened(box, labels)
        here = labels[wide]
        mask = cast(MaskArray, here == number)
        background = stain[wide][_surroundings(mask, here)]
        if background.size < _ENOUGH_PX:
            continue
        inner = depth(mask)
        inside = float(np.median(stain[wide][mask & (inner >= 0.5 * float(inner.max()))]))
        outside = float(np.median(background))
        dark = mask & (stain[wide] > outside + fraction * (inside - outside))
        kept = filled(_largest(dark))
        if kept.sum() < _LEAST_SHARE * mask.sum() or solidity(kept) < solidity(mask) - _LOST_SOLIDITY:
            continue
        view = result[wide]
        view[mask & ~kept] = 0
    return result


def _widened(box: Box, labels: Labels) -> Box:
    rows, columns = box
    return (
        slice(max(0, rows.start - _FAR_PX), min(labels.shape[0], rows.stop + _FAR_PX)),
        slice(max(0, columns.start - _FAR_PX), min(labels.shape[1], columns.stop + _FAR_PX)),
    )


def _surroundings(mask: MaskArray, here: Labels) -> MaskArray:
    """The ring around a mask that belongs to no nucleus."""
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return cast(MaskArray, (away >= _NEAR_PX) & (away <= _FAR_PX) & (here == 0))


def _largest(mask: MaskArray) -> MaskArray:
    count, pieces, statistics = connected(mask, 4)
    if count < 2:
        return mask
    return cast(MaskArray, pieces == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA])))
