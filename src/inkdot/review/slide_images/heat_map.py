"""Heat map: the slide in pale grey with every tile in the colour of its score."""

from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from inkdot.records import MaskArray, RgbArray
from inkdot.review.results.scored_slide import ScoredSlide
from inkdot.review.slide_images.caption import TEXT_PX, Sample, typeface, with_caption
from inkdot.review.slide_images.score_colours import Colour, shade_rows, shades
from inkdot.review.slide_images.slide_view import SlideView
from inkdot.storage.tables.predictions import Prediction

_LEAST_TILE_PX: Final = 4
"""Minimum width of a drawn tile, to keep it visible."""

_HATCH_EVERY_PX: Final = 7
_HATCH: Final[Colour] = (85, 85, 85)
_GREYS: Final = 64
_BAR_PX: Final = (420, 16)


def heat_map(view: SlideView, slide: ScoredSlide, prediction: Prediction) -> RgbArray:
    """The slide in pale grey, every tile in the colour of its score, and a caption: uint8 RGB.

    The highest score lies on top. All colours are those of :func:`palette`, to the nearest grey.

    Args:
        view: The overview image of the slide.
        slide: Its scored tiles.
        prediction: Its row of ``predictions.csv``.
    """
    grey = cv2.cvtColor(view.image, cv2.COLOR_RGB2GRAY)
    pale = np.repeat((128 + cast(RgbArray, grey) // 2)[..., None], 3, axis=2)
    _hatch(pale, view.not_assessed)
    _paint_tiles(pale, view, slide)
    samples = [
        Sample(
            _colour_bar(slide.facts.threshold),
            "score of a tile; flagged at or above the marked operating point",
        ),
        Sample(_sample_hatch(), "not assessed: out of focus, under artefacts, or in no tile (see masks/)"),
    ]
    return with_caption(pale, view.caption(slide.facts, prediction, "scores of tiles", samples))


def palette() -> npt.NDArray[np.uint8]:
    """The colours of a heat map, uint8 RGB [n, 3]: greys from black to white, then the shades of scores."""
    greys = np.linspace(0, 255, _GREYS).round().astype(np.uint8)
    return np.concatenate([np.repeat(greys[:, None], 3, axis=1), shades()])


def indexed(image: RgbArray) -> npt.NDArray[np.uint8]:
    """Row of :func:`palette` per pixel of a heat map: shades exactly, greys to the nearest."""
    red, green, blue = cv2.split(image)
    rows = ((red.astype(np.uint16) * (_GREYS - 1) + 127) // 255).astype(np.uint8)
    coloured = (red != green) | (green != blue)
    known = _codes(shades())
    order = np.argsort(known)
    found = np.searchsorted(known[order], _codes(image[coloured]))
    rows[coloured] = (_GREYS + order[found]).astype(np.uint8)
    return rows


def _codes(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    return rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)


def _hatch(image: RgbArray, where: MaskArray) -> None:
    rows, columns = np.ogrid[: where.shape[0], : where.shape[1]]
    image[where & ((rows + columns) % _HATCH_EVERY_PX < 2)] = _HATCH


def _paint_tiles(image: RgbArray, view: SlideView, slide: ScoredSlide) -> None:
    colours = shades()[shade_rows(slide.flag_scores, slide.flagged, slide.facts.threshold)].tolist()
    (scale_x, scale_y), (side_x, side_y) = view.scale, slide.facts.side_l0_px
    width, height = max(_LEAST_TILE_PX, side_x * scale_x), max(_LEAST_TILE_PX, side_y * scale_y)
    for row in np.argsort(slide.flag_scores, kind="stable").tolist():
        x, y = view.at(float(slide.x_l0_px[row]) + side_x / 2, float(slide.y_l0_px[row]) + side_y / 2)
        left, top = round(x - width / 2), round(y - height / 2)
        right, bottom = round(x + width / 2) - 1, round(y + height / 2) - 1
        cv2.rectangle(image, (left, top), (right, bottom), colours[row], cv2.FILLED)


def _colour_bar(threshold: float) -> RgbArray:
    """The colours from 0 to 1, with the operating point marked."""
    width, height = _BAR_PX
    scores = np.linspace(0.0, 1.0, width)
    face = typeface(TEXT_PX)
    words = f"{threshold:.4g}"
    half = round(face.getlength(words) / 2)
    left = 16
    bar = np.full((height + 24, left + width + max(16, half + 2), 3), 255, np.uint8)
    bar[:height, left : left + width] = shades()[shade_rows(scores, scores >= threshold, threshold)]
    mark = left + round(threshold * (width - 1))
    bar[: height + 5, mark : mark + 2] = 0
    image = Image.fromarray(bar)
    pen = ImageDraw.Draw(image)
    for x, y, text in (
        (2, -1, "0"),
        (left + width + 5, -1, "1"),
        (max(0, mark - half), height + 5, words),
    ):
        pen.text((x, y), text, (0, 0, 0), face)
    return np.asarray(image)


def _sample_hatch() -> RgbArray:
    sample = np.full((20, 34, 3), 235, np.uint8)
    _hatch(sample, np.ones(sample.shape[:2], np.bool_))
    return sample
