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
_LEAST_SHARE, _LARGEST_SHARE = 0.5, 2.0
_LOST_SOLIDITY = 0.03

_REACH_PX: Final = (
    2  # 0.7 µm at the working scale: what the outline of a network at 1 µm per pixel may be off
)
_FAR_OF_REACH_PX: Final = 7
_MOVED_SOLIDITY = 0.05


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
        wide = _widened(box, labels, _FAR_PX)
        here = labels[wide]
        mask = cast(MaskArray, here == number)
        limit = _limit(stain[wide], mask, _surroundings(mask, here, _NEAR_PX, _FAR_PX), fraction)
        if limit is None:
            continue
        dark = mask & (stain[wide] > limit)
        kept = filled(_largest(dark))
        if kept.sum() < _LEAST_SHARE * mask.sum() or solidity(kept) < solidity(mask) - _LOST_SOLIDITY:
            continue
        view = result[wide]
        view[mask & ~kept] = 0
    return result


def aligned_labels(labels: Labels, stain: Plane) -> Labels:
    """Move the outline of every label to the half maximum, outwards or inwards by up to 0.7 µm.

    For outlines of a network: they are coarser than the image, and how far they lie from the edge depends on its
    sharpness. What lies deeper stays, and so does a label whose area would halve or double, or that would lose its shape.

    Args:
        labels: At the working scale (:data:`inkdot.morphometry.priors.WORKING_MPP`), shape [height, width].
        stain: Nuclear stain, same shape.
    """
    result = np.zeros_like(labels)
    for number, box in boxes(labels):
        wide = _widened(box, labels, _FAR_OF_REACH_PX)
        here = labels[wide]
        mask = cast(MaskArray, here == number)
        limit = _limit(
            stain[wide], mask, _surroundings(mask, here, _REACH_PX + 1, _FAR_OF_REACH_PX), HALF_MAXIMUM
        )
        moved = mask if limit is None else _moved(mask, here, stain[wide] > limit)
        view = result[wide]
        view[moved & (view == 0)] = number
    return result


def _moved(mask: MaskArray, here: Labels, is_dark: MaskArray) -> MaskArray:
    """A mask with its edge where darkness ends, within reach."""
    near = _distance_from(mask) <= _REACH_PX
    core = mask & (depth(mask) > _REACH_PX)
    moved = filled(_largest(near & ((here == 0) | mask) & (is_dark | core)))
    share = float(moved.sum()) / float(mask.sum())
    if not _LEAST_SHARE <= share <= _LARGEST_SHARE or solidity(moved) < solidity(mask) - _MOVED_SOLIDITY:
        return mask
    return moved


def _limit(stain: Plane, mask: MaskArray, around: MaskArray, fraction: float) -> float | None:
    """The stain between a mask's inside and its surroundings; None without surroundings, or where they are darker."""
    background = stain[around]
    if background.size < _ENOUGH_PX:
        return None
    inner = depth(mask)
    inside = float(np.median(stain[mask & (inner >= 0.5 * float(inner.max()))]))
    outside = float(np.median(background))
    return outside + fraction * (inside - outside) if inside > outside else None


def _widened(box: Box, labels: Labels, by_px: int) -> Box:
    rows, columns = box
    return (
        slice(max(0, rows.start - by_px), min(labels.shape[0], rows.stop + by_px)),
        slice(max(0, columns.start - by_px), min(labels.shape[1], columns.stop + by_px)),
    )


def _surroundings(mask: MaskArray, here: Labels, near_px: int, far_px: int) -> MaskArray:
    """The ring around a mask that belongs to no nucleus."""
    away = _distance_from(mask)
    return cast(MaskArray, (away >= near_px) & (away <= far_px) & (here == 0))


def _distance_from(mask: MaskArray) -> Plane:
    """Distance in pixels of every pixel to the mask."""
    return cast(Plane, cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5))


def _largest(mask: MaskArray) -> MaskArray:
    count, pieces, statistics = connected(mask, 4)
    if count < 2:
        return mask
    return cast(MaskArray, pieces == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA])))
