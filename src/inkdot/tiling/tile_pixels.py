"""Pixels of tiles, at the physical scale of a tile spec."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import cast

import cv2

from inkdot.geometry import plan_read
from inkdot.records import ReadPlan, ReducingSlide, RgbArray, Slide, TileSpec

_QUICK_RATIOS = ((1, 1.0, 1.1), (2, 1.55, 2.4), (3, 2.65, 3.3))
"""A whole ratio, and the range of ratios that are first resized linearly to it."""


def read_tile(slide: Slide, spec: TileSpec, x_l0_px: int, y_l0_px: int) -> RgbArray:
    """Read one tile at the scale of the network: uint8 RGB, shape [spec.side_px, spec.side_px, 3].

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

    Tables of tiles are sorted by y then x, which is the order of the file: read them in this order. The native reader
    then decodes each file tile once, however many tiles share it.
    """
    for x, y in zip(xs_l0_px, ys_l0_px, strict=True):
        yield read_resized(slide, plan_read(slide.info, spec, int(x), int(y)), spec.side_px)


def read_resized(slide: Slide, plan: ReadPlan, side_px: int) -> RgbArray:
    """Read a rectangle and bring it to ``side_px`` rows and columns; JPEG slides are downscaled in the decoder if allowed.

    Raises:
        UnreadableSlideError: The slide's pixels cannot be decoded there.
    """
    if _can_reduce(type(slide)):
        return resized(cast(ReducingSlide, slide).read_reduced(plan, side_px, side_px), side_px, side_px)
    return resized(slide.read(plan), side_px, side_px)


@cache
def _can_reduce(reader: type[Slide]) -> bool:
    # Not isinstance: for a protocol, Python 3.11 takes a fifth of the time that decoding a tile takes.
    return hasattr(reader, ReducingSlide.read_reduced.__name__)


def resized(rgb: RgbArray, width_px: int, height_px: int) -> RgbArray:
    """The image at another size: area mean where it shrinks, linear where it grows (by 1.25 at most).

    Area means over fractions of pixels cost more than decoding a JPEG. Near the ratios 1, 2 and 3 the image is
    first brought to just that multiple of the size, linearly: within a grey level of the exact area mean on
    average on the sharpest images, half a level on tissue, in a third of the time.
    """
    height, width = rgb.shape[:2]
    if width < width_px or height < height_px:
        return _scaled(rgb, width_px, height_px, cv2.INTER_LINEAR)
    for multiple, least, most in _QUICK_RATIOS:
        if least * width_px <= width <= most * width_px and least * height_px <= height <= most * height_px:
            rgb = _scaled(rgb, multiple * width_px, multiple * height_px, cv2.INTER_LINEAR)
    return _scaled(rgb, width_px, height_px, cv2.INTER_AREA)


def _scaled(rgb: RgbArray, width_px: int, height_px: int, interpolation: int) -> RgbArray:
    if rgb.shape[:2] == (height_px, width_px):
        return rgb
    return cast(RgbArray, cv2.resize(rgb, (width_px, height_px), interpolation=interpolation))
