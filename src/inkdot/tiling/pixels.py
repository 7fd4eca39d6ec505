"""Pixels of tiles, at the physical scale of a tile spec."""

from collections.abc import Iterable, Iterator
from typing import cast

import cv2

from inkdot.geometry import plan_read
from inkdot.records import ReducingSlide, RgbArray, Slide, TileSpec


def read_tile(slide: Slide, spec: TileSpec, x_l0_px: int, y_l0_px: int) -> RgbArray:
    """One tile as the network sees it: uint8 RGB, shape [spec.side_px, spec.side_px, 3].

    Args:
        slide: An open slide.
        spec: Side and scale of the tile.
        x_l0_px: Left edge of the tile in level-0 pixels.
        y_l0_px: Top edge of the tile in level-0 pixels.

    Raises:
        ResolutionError: The slide is too coarse for the scale.
        UnreadableSlideError: The slide's pixels cannot be decoded there.
    """
    return next(read_tiles(slide, spec, (x_l0_px,), (y_l0_px,)))


def read_tiles(
    slide: Slide, spec: TileSpec, xs_l0_px: Iterable[int], ys_l0_px: Iterable[int]
) -> Iterator[RgbArray]:
    """Tiles one by one, in the given order; see :func:`read_tile`.

    Tables of tiles are sorted by y then x, which is the order of the file: read them as they stand. A reader
    of native tiles then decodes each of them once, however many tiles share it.
    """
    side = spec.side_px
    reducing = slide if isinstance(slide, ReducingSlide) else None
    for x, y in zip(xs_l0_px, ys_l0_px, strict=True):
        plan = plan_read(slide.info, spec, int(x), int(y))
        rgb = slide.read(plan) if reducing is None else reducing.read_reduced(plan, side, side)
        yield resized(rgb, side, side)


def resized(rgb: RgbArray, width_px: int, height_px: int) -> RgbArray:
    """The picture at another size: area mean where it shrinks, linear where it grows (by 1.25 at most)."""
    height, width = rgb.shape[:2]
    if (width, height) == (width_px, height_px):
        return rgb
    shrinks = width >= width_px and height >= height_px
    # Area mean is exact on whole ratios; for the small growth of a coarse scan it would repeat pixels.
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cast(RgbArray, cv2.resize(rgb, (width_px, height_px), interpolation=interpolation))
