"""Overview image: the slide with the shown regions ringed and numbered."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from inkdot.records import RgbArray
from inkdot.review.results.ranking import Ranking, Region
from inkdot.review.results.scored_slide import ScoreFacts
from inkdot.review.slide_images.caption import WHITE, Sample, typeface, with_caption
from inkdot.review.slide_images.score_colours import BELOW, FLAGGED
from inkdot.review.slide_images.slide_view import SlideView
from inkdot.storage.tables.predictions import Prediction

_LEAST_RADIUS_PX: Final = 11
_LARGEST_RADIUS_PX: Final = 45
"""A region that needs a larger ring is shown by its own outline."""

_DASH_PX: Final = 9
_NUMBER_PX: Final = 18

_Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the image
_Points = npt.NDArray[np.float64]  # x and y in pixels of the image, [n, 2], closed


def overview_image(view: SlideView, facts: ScoreFacts, ranking: Ranking, prediction: Prediction) -> RgbArray:
    """The slide with the regions of a ranking ringed and numbered, and a caption: uint8 RGB.

    Args:
        view: The overview image of the slide.
        facts: Facts about its scores.
        ranking: The regions.
        prediction: Its row of ``predictions.csv``.
    """
    image = view.image.copy()
    outlines = [_outline(view, region) for region in ranking.regions]
    for region, outline in reversed(list(zip(ranking.regions, outlines, strict=True))):  # the best on top
        _draw_outline(image, outline, flagged=region.flagged)
    _draw_numbers(image, ranking.regions, outlines)
    shown, flagged = len(outlines), sum(region.flagged for region in ranking.regions)
    beside = sum(len(region.cluster.flagged_others) for region in ranking.regions if region.cluster)
    more = f"; {beside} more beside them" if beside else ""
    more += "; more are flagged than are shown" if ranking.more_flagged else ""
    samples = [
        Sample(_sample_ring(flagged=True), f"flagged: {flagged} of the {shown} {ranking.unit}s shown{more}"),
        Sample(_sample_ring(flagged=False), f"shown, below the operating point of {facts.threshold:.4g}"),
    ]
    what = f"{ranking.unit}s of the highest score, numbered by it"
    return with_caption(image, view.caption(facts, prediction, what, samples))


def _outline(view: SlideView, region: Region) -> _Points:
    """A ring round a region; the outline of a large one."""
    left, top, right, bottom = region.corners_l0_px
    scale_x, scale_y = view.scale
    radius = 0.5 * float(np.hypot((right - left) * scale_x, (bottom - top) * scale_y)) + 3.0
    if radius > _LARGEST_RADIUS_PX:
        return np.array([view.at(x, y) for x, y in region.ring_l0_px])
    return _circle(view.at((left + right) / 2, (top + bottom) / 2), max(_LEAST_RADIUS_PX, radius))


def _circle(middle: tuple[float, float], radius: float) -> _Points:
    angles = np.linspace(0.0, 2.0 * np.pi, 97)
    return np.array(middle) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _draw_outline(image: RgbArray, outline: _Points, *, flagged: bool) -> None:
    """Draw the colour on white, visible on any background; dashed below the operating point."""
    pieces = [outline] if flagged else _dashes(outline)
    fine = [np.rint(piece * 16.0).astype(np.int32) for piece in pieces]  # sixteenths of a pixel
    for colour, thickness in ((WHITE, 5), (FLAGGED if flagged else BELOW, 3)):
        cv2.polylines(image, fine, False, colour, thickness, cv2.LINE_AA, 4)


def _dashes(outline: _Points) -> list[_Points]:
    """Every other segment of a line; a whole number of dashes on a closed one."""
    lengths = np.hypot(*np.diff(outline, axis=0).T)
    way = np.concatenate([[0.0], np.cumsum(lengths)])
    count = 2 * max(3, round(float(way[-1]) / (2 * _DASH_PX)))
    ends = np.linspace(0.0, float(way[-1]), count + 1).tolist()
    dashes: list[_Points] = []
    for start, end in zip(ends[:-1:2], ends[1::2], strict=True):
        stops = np.linspace(float(start), float(end), 7)
        x, y = np.interp(stops, way, outline[:, 0]), np.interp(stops, way, outline[:, 1])
        dashes.append(np.stack([x, y], axis=1))
    return dashes


def _sample_ring(*, flagged: bool) -> RgbArray:
    sample = np.full((26, 26, 3), 255, np.uint8)
    _draw_outline(sample, _circle((13.0, 13.0), 10.0), flagged=flagged)
    return sample


def _draw_numbers(image: RgbArray, regions: Sequence[Region], outlines: Sequence[_Points]) -> None:
    """Draw ranks beside their rings, avoiding other numbers and rings where possible."""
    height, width = image.shape[:2]
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    face = typeface(_NUMBER_PX)
    taken = [_box(outline) for outline in outlines]
    for region, ring in zip(regions, taken.copy(), strict=True):
        text = str(region.rank)
        boxes = _beside(ring, round(face.getlength(text)) + 6, _NUMBER_PX + 4)
        inside = [b for b in boxes if b[0] >= 0 and b[1] >= 0 and b[2] <= width and b[3] <= height] or boxes
        free = [box for box in inside if not any(_meet(box, other) for other in taken)]
        box = (free or inside)[0]
        taken.append(box)
        colour = FLAGGED if region.flagged else BELOW
        pen.text((box[0] + 3, box[1]), text, colour, face, stroke_width=3, stroke_fill=WHITE)
    image[:] = np.asarray(canvas)


def _box(outline: _Points) -> _Box:
    left, top = np.floor(outline.min(axis=0)).astype(int).tolist()
    right, bottom = np.ceil(outline.max(axis=0)).astype(int).tolist()
    return left, top, right, bottom


def _beside(ring: _Box, width: int, height: int) -> list[_Box]:
    """Boxes round a ring, in the order in which they are tried."""
    left, top, right, bottom = ring
    x, y = (left + right - width) // 2, (top + bottom - height) // 2
    corners = [
        (right, y),
        (left - width, y),
        (x, top - height),
        (x, bottom),
        (right, top - height // 2),
        (left - width, top - height // 2),
        (right, bottom - height // 2),
        (left - width, bottom - height // 2),
    ]
    return [(x, y, x + width, y + height) for x, y in corners]


def _meet(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
