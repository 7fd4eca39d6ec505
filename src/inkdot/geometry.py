"""Conversion between micrometres, level-0 pixels, level pixels and tile pixels, and read plans.

The position of a tile is the level-0 pixel of its top left corner. Its side on the specimen is fixed (µm); its sides in
level-0 pixels follow from the mpp of the slide along x and y, and are rarely integers.
"""

from collections.abc import Iterator

from inkdot.errors import ResolutionError
from inkdot.records import BoundsL0, Mpp, ReadPlan, SlideInfo, TileSpec
from inkdot.units import Level0Px, LevelPx, Micrometres

FINEST_UPSAMPLING = 1.25
"""Maximum ratio of the mpp of level 0 to that of a tile; beyond it, tiles would be upsampled without detail."""

_LEVEL_TOLERANCE = 1.02
"""A level up to 2 % coarser than requested still counts as fine enough: scanners state 0.2528 for 0.25 µm/px, and a
tile of 0.5 would be read from four times as many pixels."""

_CELL_LEVEL_TOLERANCE = 1.06
"""Times :data:`_LEVEL_TOLERANCE` where cells are looked for, whose outlines do not hang on a few per cent."""


def um_to_l0_px(length_um: Micrometres, mpp: Mpp) -> tuple[float, float]:
    """Convert a length in µm to (fractional) level-0 pixels along x and y."""
    return length_um / mpp.x, length_um / mpp.y


def tile_side_l0_px(info: SlideInfo, spec: TileSpec) -> tuple[float, float]:
    """Give the width and height of a tile in (fractional) level-0 pixels."""
    return um_to_l0_px(spec.side_um, info.mpp)


def level_for(info: SlideInfo, target_mpp: float) -> int:
    """Choose the coarsest level that is at least as fine as ``target_mpp`` (µm/px) on both axes, to within 2 %."""
    best = 0
    for level, downsample in enumerate(info.level_downsamples):
        if max(info.mpp.x, info.mpp.y) * downsample <= target_mpp * _LEVEL_TOLERANCE:
            best = level
    return best


def check_resolution(info: SlideInfo, target_mpp: float) -> None:
    """Check that the slide is fine enough for a scale.

    Raises:
        ResolutionError: ``target_mpp`` is more than 1.25 times finer than level 0.
    """
    coarsest = max(info.mpp.x, info.mpp.y)
    if coarsest / target_mpp > FINEST_UPSAMPLING:
        raise ResolutionError(
            f"expected a slide of at most {target_mpp * FINEST_UPSAMPLING:.3f} µm/px to be read at {target_mpp:g} µm/px, "
            f"found {coarsest:.4g} µm/px; use a coarser mpp (config: tiling.mpp) or rescan at a higher magnification"
        )


def plan_read(info: SlideInfo, spec: TileSpec, x_l0_px: int, y_l0_px: int) -> ReadPlan:
    """Plan the read of a tile; the pixels read are then resized to ``spec.side_px``.

    The rectangle of the plan equals that of the tile to within half a pixel of its level.

    Args:
        info: The slide.
        spec: Side and scale of the tile.
        x_l0_px: Left edge of the tile in level-0 pixels.
        y_l0_px: Top edge of the tile in level-0 pixels.

    Raises:
        ResolutionError: The slide is too coarse for the scale (see :func:`check_resolution`).
    """
    check_resolution(info, spec.mpp)
    width_l0, height_l0 = tile_side_l0_px(info, spec)
    return plan_rectangle(info, level_for(info, spec.mpp), x_l0_px, y_l0_px, width_l0, height_l0)


def plan_rectangle(
    info: SlideInfo, level: int, x_l0_px: int, y_l0_px: int, width_l0_px: float, height_l0_px: float
) -> ReadPlan:
    """Plan the read of a level-0 rectangle from ``level``; its size is rounded to whole pixels of the level."""
    downsample = info.level_downsamples[level]
    return ReadPlan(
        level=level,
        x_l0_px=Level0Px(x_l0_px),
        y_l0_px=Level0Px(y_l0_px),
        width_level_px=LevelPx(max(1, round(width_l0_px / downsample))),
        height_level_px=LevelPx(max(1, round(height_l0_px / downsample))),
    )


def plan_square(info: SlideInfo, corner_um: tuple[float, float], side_um: float, mpp: float) -> ReadPlan:
    """Plan the read of a square in which cells are looked for, from a level up to about 8 % coarser than ``mpp``.

    Args:
        info: The slide.
        corner_um: Its left and top edge in µm from the corner of level 0.
        side_um: Its side in µm.
        mpp: Micrometres per pixel to which the pixels read are then resized.
    """
    return plan_rectangle(
        info,
        level_for(info, mpp * _CELL_LEVEL_TOLERANCE),
        round(corner_um[0] / info.mpp.x),
        round(corner_um[1] / info.mpp.y),
        side_um / info.mpp.x,
        side_um / info.mpp.y,
    )


def scanned_bounds(info: SlideInfo) -> BoundsL0:
    """Give the scanned area in level-0 pixels: the bounds stated in the file, else all of level 0."""
    if info.bounds_l0_px is not None:
        return info.bounds_l0_px
    width, height = info.size_l0_px
    return BoundsL0(Level0Px(0), Level0Px(0), width, height)


def grid_positions(info: SlideInfo, spec: TileSpec) -> Iterator[tuple[Level0Px, Level0Px]]:
    """Yield the top left corners (x, y) of a regular grid over the scanned area, row by row, in level-0 pixels.

    The last row and column are shifted inwards so that whole tiles cover the far edges; a slide smaller than a tile gets one
    tile at its corner. Each position is rounded separately, so that errors do not accumulate.
    """
    bounds = scanned_bounds(info)
    side_x, side_y = tile_side_l0_px(info, spec)
    stride_x, stride_y = um_to_l0_px(spec.stride_um, info.mpp)
    xs = _axis_positions(bounds.x_l0_px, bounds.width_l0_px, side_x, stride_x)
    for y in _axis_positions(bounds.y_l0_px, bounds.height_l0_px, side_y, stride_y):
        for x in xs:
            yield Level0Px(x), Level0Px(y)


def _axis_positions(start: int, length: int, side: float, stride: float) -> list[int]:
    last = max(0.0, length - side)
    positions: list[int] = []
    index = 0
    while index * stride < last:
        positions.append(start + round(index * stride))
        index += 1
    end = start + round(last)
    if not positions or positions[-1] != end:
        positions.append(end)
    return positions
