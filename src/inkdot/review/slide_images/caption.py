"""The caption of a slide image: title, scale bar, legend, warnings."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from inkdot.records import RgbArray
from inkdot.review.gallery.fields import ScaleBar
from inkdot.review.slide_images.score_colours import Colour
from inkdot.review.wording import FOOTER, RESEARCH_USE

LEAST_WIDTH_PX: Final = 760
"""A narrower image is padded with white to fit the caption."""

TEXT_PX: Final = 15
WHITE: Final[Colour] = (255, 255, 255)
_BLACK: Final[Colour] = (0, 0, 0)
_GREY: Final[Colour] = (96, 96, 96)
_TITLE_PX: Final = 20
_MARGIN_PX: Final = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of a legend.

    Attributes:
        image: The sample, uint8 RGB.
        words: Its meaning.
    """

    image: RgbArray
    words: str


@dataclass(frozen=True, slots=True)
class Caption:
    """The content of a caption.

    Attributes:
        title: The slide, its call and score.
        synthetic: The slide or the model's training data are synthetic.
        bar: The image's scale bar; its fraction is of the image without padding.
        samples: The legend.
        warnings: Warnings about the slide.
    """

    title: str
    synthetic: bool
    bar: ScaleBar
    samples: Sequence[Sample]
    warnings: Sequence[str]


def with_caption(image: RgbArray, caption: Caption) -> RgbArray:
    """The image with its caption below, uint8 RGB; at least :data:`LEAST_WIDTH_PX` wide.

    Letters are grey on white, so that a palette of greys holds them.
    """
    height, width = image.shape[:2]
    whole_width = max(width, LEAST_WIDTH_PX)
    middle = np.full((height, whole_width, 3), 255, np.uint8)
    middle[:, :width] = image
    # Repeated above, in case the caption is cropped.
    top = [_paragraph("SYNTHETIC", whole_width, _TITLE_PX, _BLACK)] if caption.synthetic else []
    bar = np.full((6, max(1, round(caption.bar.fraction * width)), 3), 0, np.uint8)
    title = ("SYNTHETIC: " if caption.synthetic else "") + caption.title
    strips = [
        _space(whole_width, _MARGIN_PX),
        _paragraph(title, whole_width, _TITLE_PX, _BLACK),
        _sampled(Sample(bar, length_words(caption.bar)), whole_width),
        *(_sampled(sample, whole_width) for sample in caption.samples),
        *(_paragraph(f"! {warning}", whole_width, TEXT_PX, _BLACK) for warning in caption.warnings),
        _paragraph(f"{RESEARCH_USE} {FOOTER}", whole_width, TEXT_PX, _GREY),
        _space(whole_width, _MARGIN_PX),
    ]
    return np.concatenate([*top, middle, *strips])


def with_provenance(image: RgbArray, bar: ScaleBar, lines: Sequence[str]) -> RgbArray:
    """The image with a scale bar and lines of text below it, uint8 RGB of the same width.

    For images that leave the page: they say what they show without it.

    Args:
        image: uint8 RGB [height, width, 3].
        bar: Its scale bar.
        lines: Where it comes from, a paragraph each.
    """
    width = image.shape[1]
    stroke = np.full((6, max(1, round(bar.fraction * width)), 3), 0, np.uint8)
    strips = [
        _space(width, _MARGIN_PX),
        _sampled(Sample(stroke, length_words(bar)), width),
        *(_paragraph(line, width, TEXT_PX, _BLACK) for line in lines),
        _paragraph(RESEARCH_USE, width, TEXT_PX, _GREY),
        _space(width, _MARGIN_PX),
    ]
    return np.concatenate([image, *strips])


def typeface(size_px: int) -> ImageFont.FreeTypeFont:
    """The typeface that is part of Pillow: no font file needed."""
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size_px))


def drawable(text: str) -> str:
    """Text in the characters that :func:`draw_text` can draw: ``µ`` and ``·``, no accents, and ``?`` for all others.

    Names are untrusted and may hold line breaks.
    """
    plain = "µ".join(unicodedata.normalize("NFKD", part) for part in re.split("[\u00b5\u03bc]", text))
    letters = (letter for letter in plain if not unicodedata.combining(letter))
    return "".join(
        letter if letter in "·µ" or (letter.isascii() and letter.isprintable()) else "?" for letter in letters
    )


def draw_text(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    colour: Colour,
    face: ImageFont.FreeTypeFont,
) -> None:
    """Draw :func:`drawable` text, its top left corner at ``at``.

    The typeface has no µ: it is a u with a longer first stroke.
    """
    pen.text(at, _as_u(text), colour, face)
    left, width, foot = _stem(round(face.size))
    for match in re.finditer("µ", text):
        x = round(at[0] + face.getlength(_as_u(text[: match.start()]))) + left
        pen.rectangle(
            (x, at[1] + foot - width, x + width - 1, at[1] + foot + round(face.size / 5)), fill=colour
        )


@cache
def _stem(size_px: int) -> tuple[int, int, int]:
    """Left edge and width of the first stroke of a u, and the row of its foot, in pixels from the corner of its text."""
    letter = Image.new("L", (2 * size_px, 2 * size_px), 0)
    ImageDraw.Draw(letter).text((0, 0), "u", 255, typeface(size_px))
    ink = np.asarray(letter) > 100
    rows = np.flatnonzero(ink.any(axis=1))
    stroke = ink[(rows[0] + rows[-1]) // 2]
    left = int(np.argmax(stroke))
    return left, max(1, int(np.argmin(stroke[left:]))), int(rows[-1])


def _as_u(text: str) -> str:
    return text.replace("µ", "u")


def length_words(bar: ScaleBar) -> str:
    """``500 µm`` or ``2 mm``."""
    return f"{bar.length_um} µm" if bar.length_um < 1000 else f"{bar.length_um / 1000:g} mm"


def _space(width: int, height: int) -> RgbArray:
    return np.full((height, width, 3), 255, np.uint8)


def _paragraph(text: str, width: int, size_px: int, colour: Colour) -> RgbArray:
    face = typeface(size_px)
    lines = _wrapped(drawable(text), face, width - 2 * _MARGIN_PX)
    step = round(size_px * 1.35)
    strip = Image.fromarray(_space(width, step * len(lines) + 4))
    pen = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        draw_text(pen, (_MARGIN_PX, number * step), line, colour, face)
    return np.asarray(strip)


def _sampled(sample: Sample, width: int) -> RgbArray:
    """A line of the legend: words beside the sample, or below it where space is short."""
    rows, columns = sample.image.shape[:2]
    columns = min(columns, width - 2 * _MARGIN_PX)
    beside = columns + 10
    room = width - 2 * _MARGIN_PX - beside
    words = _paragraph(sample.words, room + 2 * _MARGIN_PX if room > 200 else width, TEXT_PX, _BLACK)
    height = max(rows, words.shape[0]) if room > 200 else rows + words.shape[0]
    strip = _space(width, height + 4)
    if room > 200:
        top = (height - words.shape[0] + 3) // 2
        strip[top : top + words.shape[0], beside : beside + words.shape[1]] = words
        top = (height - rows) // 2
    else:
        strip[rows : rows + words.shape[0]] = words
        top = 0
    strip[top : top + rows, _MARGIN_PX : _MARGIN_PX + columns] = sample.image[:, :columns]
    return strip


def _wrapped(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Lines that fit; a word that is longer than a line is cut."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(_as_u(longer)) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if face.getlength(_as_u(lines[-1] + letter)) > width:
                lines.append("")
            lines[-1] += letter
    return lines
