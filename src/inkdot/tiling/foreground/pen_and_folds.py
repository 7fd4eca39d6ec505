"""Detection of pen marks, solid grey areas (print, frames, shadows) and folds of a section."""

from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.records import MaskArray
from inkdot.tiling.foreground.glass import OD_STEP
from inkdot.tiling.foreground.stain_map import Bytes, Planes

Floats = npt.NDArray[np.float32]

PEN_OD: Final = 1.0
"""Minimum optical density of ink in the most absorbed channel, everywhere in a stroke."""

PEN_WIDTH_UM: Final = 32.0
"""Minimum width of a stroke in µm."""

PEN_UNEVENNESS: Final = 5.0
"""Maximum standard deviation of the colour of a stroke within 20 µm, in grey levels; clusters of nuclei have 10 and more."""

GREEN_INK_WIDTH_UM: Final = 100.0
"""Minimum width of a stroke of green ink in µm, however pale."""

_GREEN_INK_OD = 0.1  # of red light, in a stroke; on its border half of that
# Light green of Papanicolaou's stain absorbs more green than blue light, green ink more blue than green.
_GREEN_OF_RED = 0.7
_GREEN_OF_BLUE = 0.9
_BORDER_GREEN_OF_RED = 0.85

_PEN_BORDER_UM = 16.0  # the stroke lies above the focal plane: its border is blurred
_EVEN_WITHIN_UM = 20.0
_GREY_WIDTH_UM = 40.0

_FOLD_RATIO = 1.4
_FOLD_EVENNESS = 1.25
_FOLD_MORE_OD = 0.06
_FOLD_SCALE_UM = 8.0
_FOLD_AROUND_UM = 260.0
_FOLD_WIDTH_UM = (16.0, 160.0)
_FOLD_LENGTH_UM = 150.0
_FOLD_ELONGATION = 3.0
_FOLD_BESIDE_UM = 40.0
_FOLD_TISSUE_BESIDE = 0.93


def pen_marks(planes: Planes) -> MaskArray:
    """Pen marks with their blurred border: dark, wide and uniform. Shape [height, width].

    Clusters and dense tumour are as dark, and haematoxylin has the hue of blue ink, but they consist of nuclei and vary
    between mask pixels.
    """
    most = _most_absorbed(planes)
    dense = (most >= round(PEN_OD / OD_STEP)).astype(np.uint8)
    strokes = np.zeros(dense.shape, np.uint8)
    opened = opened_by_disc(dense, PEN_WIDTH_UM / planes.frame.mpp)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    height, width = planes.frame.height_px, planes.frame.width_px
    for index in range(1, count):
        x, y, w, h = (int(value) for value in stats[index, :4])
        window = (slice(y, y + h), slice(x, x + w))
        part = labels[window] == index
        at_border = x == 0 or y == 0 or x + w == width or y + h == height
        # A black frame around the image is uniform too.
        is_frame = at_border and float(np.median(planes.grey[window][part])) >= 200.0
        if not is_frame and _unevenness(planes, window, part) <= PEN_UNEVENNESS:
            strokes[window] |= part
    inked = (strokes > 0) | _green_ink(planes)
    if not inked.any():
        return inked
    reach = max(1, round(_PEN_BORDER_UM / planes.frame.mpp))
    near = cv2.dilate(inked.astype(np.uint8), disc(2 * reach + 1))
    return inked | ((near > 0) & (planes.stained > 0))


def _green_ink(planes: Planes) -> MaskArray:
    """Strokes of green ink, which may be pale and out of focus: wide, and with the least absorption in green light.

    No stain of nuclei has that hue. What is grey or black beside such a stroke is a second layer of its ink.
    """
    mpp = planes.frame.mpp
    found = np.zeros(planes.stained.shape, np.bool_)
    table = planes.glass.od_table()
    inky, sure = np.zeros(found.shape, np.uint8), np.zeros(found.shape, np.uint8)
    least = round(_GREEN_INK_OD / OD_STEP)
    for start in range(0, planes.frame.height_px, 1024):
        band = slice(start, start + 1024)
        red, green, blue = cv2.split(cv2.LUT(planes.tone[band], table))
        sure[band] = (red >= least) & (green <= _GREEN_OF_RED * red) & (green <= _GREEN_OF_BLUE * blue)
        inky[band] = (red >= least // 2) & (green <= _BORDER_GREEN_OF_RED * red) & (green <= blue)
    if not sure.any():
        return found
    seeds = opened_by_disc(sure, GREEN_INK_WIDTH_UM / mpp) > 0
    if seeds.any():
        inky |= planes.grey >= 128
        _, labels = cv2.connectedComponents(inky, connectivity=8)
        of_seed = np.unique(labels[seeds])
        found |= np.isin(labels, of_seed[of_seed > 0])
    return found


def _most_absorbed(planes: Planes) -> Bytes:
    """Optical density of the most absorbed channel in units of ``OD_STEP``, in bands to save memory."""
    table = planes.glass.od_table()
    most = np.empty(planes.stained.shape, np.uint8)
    for start in range(0, planes.frame.height_px, 1024):
        band = slice(start, start + 1024)
        most[band] = cv2.LUT(planes.tone[band], table).max(axis=2)
    return most


def _unevenness(planes: Planes, window: tuple[slice, slice], part: MaskArray) -> float:
    """Median over a part of the standard deviation within 20 µm in the channel that varies most, in grey levels."""
    tone = planes.tone[window].astype(np.float32)
    side = max(3, round(_EVEN_WITHIN_UM / planes.frame.mpp) | 1)
    mean, square = cv2.blur(tone, (side, side)), cv2.blur(tone * tone, (side, side))
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0)).max(axis=2)
    inner = cv2.erode(np.pad(part, 1).astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    return float(np.median(deviation[inner if inner.any() else part]))


def solid_grey(planes: Planes) -> MaskArray:
    """Grey areas wider than debris (40 µm), with their blurred edge. Shape [height, width]."""
    full = (planes.grey >= 230).astype(np.uint8)
    # Beyond the image counts as grey, so that a narrow dark frame is solid.
    solid = (opened_by_disc(full, _GREY_WIDTH_UM / planes.frame.mpp, outside=1) > 0) & (full > 0)
    if not solid.any():
        return solid
    edge = cv2.dilate(solid.astype(np.uint8), disc(5))
    # Coloured pixels at the edge are cells.
    return solid | ((edge > 0) & (planes.grey > 0) & (planes.grey >= planes.stained // 2))


def folds(planes: Planes, tissue: MaskArray) -> MaskArray:
    """Folds of a section: stripes that absorb much more in every channel than the tissue beside them.

    Tumour nests absorb more red but hardly more blue than stroma; blood and muscle the reverse. A fold absorbs more in all
    channels.

    Args:
        planes: Stain map of the slide.
        tissue: Foreground without artefacts, shape [height, width].

    Returns:
        Shape [height, width].
    """
    mpp = planes.frame.mpp
    # Folds are coarse: a lower resolution saves most of the time.
    shrink = max(1, round(_FOLD_SCALE_UM / mpp))
    size = (max(1, tissue.shape[1] // shrink), max(1, tissue.shape[0] // shrink))
    share = cast("Floats", cv2.resize(tissue.astype(np.float32), size, interpolation=cv2.INTER_AREA))
    tone = cv2.resize(planes.tone, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    od: Floats = np.log10(np.asarray(planes.glass.rgb, np.float32) / np.maximum(tone, 1.0)).clip(0.0)
    around = max(3, round(_FOLD_AROUND_UM / (mpp * shrink)) | 1)
    weight = cv2.blur(share, (around, around))
    beside = cv2.blur(od * share[..., None], (around, around)) / np.maximum(weight, 1e-3)[..., None]
    more = (od >= _FOLD_RATIO * beside) & (od >= beside + _FOLD_MORE_OD)
    found = (more.all(axis=2) & (weight >= 0.5) & (share > 0.5)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_CLOSE, disc(3))
    kept = _stripes(cast("Bytes", found), od, share, mpp * shrink)
    back = cv2.resize(kept, (tissue.shape[1], tissue.shape[0]), interpolation=cv2.INTER_NEAREST)
    return (back > 0) & tissue


def _stripes(found: Bytes, od: Floats, share: Floats, mpp: float) -> Bytes:
    """Connected parts with the width and length of a fold, and tissue of one layer beside them."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    kept = np.zeros_like(found)
    for index in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[index])
        if max(w, h) * mpp < 0.7 * _FOLD_LENGTH_UM:
            continue
        margin = 2 * max(1, round(_FOLD_BESIDE_UM / mpp))
        window = (slice(max(0, y - margin), y + h + margin), slice(max(0, x - margin), x + w + margin))
        part = (labels[window] == index).astype(np.uint8)
        padded = np.pad(part, 1)
        depth = cast("Floats", cv2.distanceTransform(padded, cv2.DIST_L2, 5))
        width = 2.0 * float(depth.max()) * mpp
        length = area * mpp * mpp / max(width, mpp)
        if (
            _FOLD_WIDTH_UM[0] <= width <= _FOLD_WIDTH_UM[1]
            and length >= max(_FOLD_LENGTH_UM, _FOLD_ELONGATION * width)
            and _is_double_layer(part, od[window], share[window], mpp)
        ):
            kept[window] |= part
    return kept


def _is_double_layer(part: Bytes, od: Floats, share: Floats, mpp: float) -> bool:
    """Whether there is tissue on both sides, and all channels absorb more by about the same factor.

    Keratin and clots at the edge of a section are as dark, with glass on one side. Epithelium absorbs much more red than
    stroma and little more blue.
    """
    reach = max(1, round(_FOLD_BESIDE_UM / mpp))
    touching = cv2.dilate(part, disc(3))
    ring = (cv2.dilate(touching, disc(2 * reach + 1)) > 0) & (touching == 0)
    if not ring.any() or float(share[ring].mean()) < _FOLD_TISSUE_BESIDE:
        return False
    factors = od[part > 0].mean(axis=0) / np.maximum(od[ring & (share > 0.5)].mean(axis=0), 0.02)
    return float(factors.min()) >= _FOLD_RATIO and float(factors.max() / factors.min()) <= _FOLD_EVENNESS


def disc(side_px: int) -> Bytes:
    """Structuring element of a disc; the side is made odd, since an even one would shift the mask."""
    return cast("Bytes", cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side_px | 1, side_px | 1)))


def opened_by_disc(mask: Bytes, width_px: float, outside: int = 0) -> Bytes:
    """Morphological opening of a mask (0 or 1) by a disc; ``outside`` is its value beyond the image."""
    side = max(1, round(width_px)) | 1
    if not mask.any():
        return mask
    padded = cv2.copyMakeBorder(mask, side, side, side, side, cv2.BORDER_CONSTANT, value=(float(outside),))
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc(side))
    return cast("Bytes", opened[side:-side, side:-side])
