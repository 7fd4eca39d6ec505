"""The mask image: which tiles were cut, which areas were dropped, and why."""

import io
from collections.abc import Sequence
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from inkdot.records import MaskArray, RgbArray, SlideInfo
from inkdot.tiling.foreground.find_foreground import Foreground
from inkdot.tiling.foreground.foreground_classes import BLOCKING, ForegroundClass

MAX_SIDE_PX: Final = 1200
"""Longer side of the image, without the legend."""

_Colour = tuple[int, int, int]

_DROPPED_COLOURS: Final[dict[ForegroundClass, _Colour]] = {
    ForegroundClass.CLOT: (245, 150, 190),
    ForegroundClass.SPECK: (230, 140, 0),
    ForegroundClass.RED_CELL: (240, 90, 70),
    ForegroundClass.GREY: (200, 0, 160),
    ForegroundClass.OUTSIDE: (205, 205, 222),
    ForegroundClass.RING: (150, 110, 60),
    ForegroundClass.PRECIPITATE: (120, 70, 0),
    ForegroundClass.BLUR: (0, 170, 230),
    ForegroundClass.FIBRE: (90, 160, 0),
    ForegroundClass.FOLD: (140, 60, 210),
    ForegroundClass.COVERSLIP: (0, 150, 140),
    ForegroundClass.BUBBLE: (215, 175, 0),
    ForegroundClass.IN_BUBBLE: (250, 238, 180),
    ForegroundClass.PEN: (220, 20, 20),
    ForegroundClass.NO_PIXELS: (40, 40, 40),
}
_TILE_COLOUR: Final[_Colour] = (0, 110, 50)
_NOT_TILED_COLOUR: Final[_Colour] = (60, 100, 200)
_NAMED_COLOURS: Final = (_TILE_COLOUR, _NOT_TILED_COLOUR, *_DROPPED_COLOURS.values())
_LINE_PX = 18
_COLOURS = 64


def draw_mask(
    thumbnail: RgbArray,
    info: SlideInfo,
    foreground: Foreground,
    x_l0_px: npt.NDArray[np.integer],
    y_l0_px: npt.NDArray[np.integer],
    tile_side_l0_px: tuple[float, float],
    notes: Sequence[str] = (),
) -> RgbArray:
    """Draw the slide, pale outside of tiles, coloured where something was dropped, with a legend below.

    Args:
        thumbnail: The whole slide, uint8 RGB [height, width, 3].
        info: The slide.
        foreground: Its foreground and artefacts.
        x_l0_px: Left edges of the kept tiles in level-0 pixels, shape [n].
        y_l0_px: Top edges, shape [n].
        tile_side_l0_px: Width and height of a tile in level-0 pixels.
        notes: Further lines for the legend.

    Returns:
        uint8 RGB, as wide as the thumbnail.
    """
    height, width = thumbnail.shape[:2]
    classes = _classes_on(thumbnail, info, foreground)
    in_tile = np.zeros((height, width), np.uint8)
    outlines = np.zeros_like(in_tile)
    scale_x, scale_y = width / info.size_l0_px[0], height / info.size_l0_px[1]
    for x, y in zip(x_l0_px.tolist(), y_l0_px.tolist(), strict=True):
        left, top = int(x * scale_x), int(y * scale_y)
        right, bottom = int((x + tile_side_l0_px[0]) * scale_x), int((y + tile_side_l0_px[1]) * scale_y)
        cv2.rectangle(in_tile, (left, top), (right, bottom), (1.0,), cv2.FILLED)
        cv2.rectangle(outlines, (left, top), (right, bottom), (1.0,), 1)
    image = thumbnail.copy()
    outside = in_tile == 0
    # Pale, not dark: a missed single cell would be invisible on a dark background.
    image[outside] = 255 - (255 - image[outside]) // 3
    for kind, colour in _DROPPED_COLOURS.items():
        image[classes == kind] = colour
    image[(classes == ForegroundClass.FOREGROUND) & outside] = _NOT_TILED_COLOUR
    # Outlines of many small tiles would hide the cells: draw the outline of their union.
    edge = in_tile - cv2.erode(in_tile, np.ones((3, 3), np.uint8)) if len(x_l0_px) > 400 else outlines
    image[edge > 0] = _TILE_COLOUR
    return np.concatenate([image, _legend(width, _legend_lines(foreground, len(x_l0_px), notes))])


def png_bytes(image: RgbArray) -> bytes:
    """Encode as a small PNG with exact legend colours; the same image gives the same bytes."""
    indexed = Image.fromarray(image).quantize(_COLOURS, dither=Image.Dither.NONE)
    indices = np.array(indexed)
    palette = list(indexed.getpalette() or [])[: 3 * _COLOURS]
    palette += [0] * (3 * _COLOURS - len(palette))
    # One number per pixel: comparing three channels with a dozen colours would take as long as finding the cells.
    codes = image.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    for red, green, blue in _NAMED_COLOURS:
        indices[codes == (red << 16 | green << 8 | blue)] = len(palette) // 3
        palette += (red, green, blue)
    indexed = Image.fromarray(indices)
    indexed.putpalette(palette)
    buffer = io.BytesIO()
    indexed.save(buffer, format="PNG")  # optimize would take ten times as long for a twentieth of the bytes
    return buffer.getvalue()


def not_assessable_in(png: bytes, height_px: int) -> MaskArray:
    """Where a mask image shows areas that are not assessable, or foreground without a tile.

    Areas outside of the cell spot do not count.

    Args:
        png: Output of :func:`png_bytes`.
        height_px: Height of the image without its legend.

    Returns:
        bool [height_px, width].
    """
    image = Image.open(io.BytesIO(png))
    indices = np.array(image)[:height_px]
    hidden = {
        _DROPPED_COLOURS[kind]
        for kind in (BLOCKING | {ForegroundClass.IN_BUBBLE}) - {ForegroundClass.OUTSIDE}
    }
    listed = [
        _COLOURS + row
        for row, colour in enumerate(_NAMED_COLOURS)
        if colour in hidden or colour == _NOT_TILED_COLOUR
    ]
    return np.isin(indices, listed)


def _classes_on(thumbnail: RgbArray, info: SlideInfo, foreground: Foreground) -> npt.NDArray[np.uint8]:
    """The foreground classes at the thumbnail's size; a pixel has the largest class in it, so that no speck disappears."""
    frame = foreground.frame
    height, width = thumbnail.shape[:2]
    scale_x, scale_y = width / info.size_l0_px[0], height / info.size_l0_px[1]
    rows, columns = foreground.classes.shape
    x = (
        np.arange(0, width, dtype=np.float64) / (scale_x * frame.step_x_l0_px)
        - frame.x_l0_px / frame.step_x_l0_px
    )
    y = (
        np.arange(0, height, dtype=np.float64) / (scale_y * frame.step_y_l0_px)
        - frame.y_l0_px / frame.step_y_l0_px
    )
    left, top = np.clip(x, 0, columns - 1).astype(np.intp), np.clip(y, 0, rows - 1).astype(np.intp)
    by_row = np.maximum.reduceat(foreground.classes, top, axis=0)
    classes = cast("npt.NDArray[np.uint8]", np.maximum.reduceat(by_row, left, axis=1))
    classes[:, (x < -1) | (x >= columns)] = ForegroundClass.GLASS  # beyond the scanned part
    classes[(y < -1) | (y >= rows)] = ForegroundClass.GLASS
    return classes


def _legend_lines(foreground: Foreground, tiles: int, notes: Sequence[str]) -> list[tuple[_Colour, str]]:
    areas = foreground.areas_um2()
    lines: list[tuple[_Colour, str]] = [
        (
            _TILE_COLOUR,
            f"{tiles} tiles kept; {areas[ForegroundClass.FOREGROUND] / 1e6:.4g} mm2 of foreground",
        ),
        (_NOT_TILED_COLOUR, "foreground in no kept tile"),
    ]
    for kind, colour in _DROPPED_COLOURS.items():
        if areas[kind]:
            lines.append((colour, f"{_fate(kind)}: {kind.words}, {areas[kind] / 1e6:.4g} mm2"))
    glass = ", ".join(f"{value:.0f}" for value in foreground.glass.rgb)
    lines.append(
        ((255, 255, 255), f"glass RGB {glass}{'' if foreground.glass.found else ' (assumed: none seen)'}")
    )
    if foreground.spot is not None:
        lines.append(((255, 255, 255), foreground.spot.words))
    lines += [((255, 255, 255), note) for note in notes]
    return lines


def _fate(kind: ForegroundClass) -> str:
    """What becomes of the cells on a class, for the legend."""
    if kind is ForegroundClass.CLOT:
        return "searched for cells"
    return "not assessable" if kind in BLOCKING or kind is ForegroundClass.IN_BUBBLE else "dropped"


def _legend(width: int, lines: Sequence[tuple[_Colour, str]]) -> RgbArray:
    legend = np.full((_LINE_PX * len(lines) + 6, width, 3), 255, np.uint8)
    for index, (colour, text) in enumerate(lines):
        y = 4 + index * _LINE_PX
        cv2.rectangle(legend, (4, y + 2), (16, y + 13), colour, cv2.FILLED)
        cv2.putText(legend, text, (22, y + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return legend
