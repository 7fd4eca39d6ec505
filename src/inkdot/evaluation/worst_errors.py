"""The worst errors of an evaluation, each with the image of its highest score."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from inkdot.config import ImagesConfig, TilingConfig
from inkdot.datasets.image_cache import read_image
from inkdot.errors import SlideError
from inkdot.evaluation.report import WorstError
from inkdot.evaluation.slide_results import SlideResult
from inkdot.manifest import ImageEntry
from inkdot.metrics.classification import BoolArray
from inkdot.records import RgbArray
from inkdot.review.gallery.fields import finest_spec, view_of
from inkdot.slides.unchanged import open_unchanged
from inkdot.tiling.tile_pixels import read_tile

_MAX_OF_A_KIND = 6
"""Enough to see a pattern, few enough to look at all of them."""

_SIDE_PX = 224
_QUALITY = 85

MISSED, FALSE_POSITIVE = "missed", "false positive"


def worst_rows(
    truth: npt.NDArray[np.floating], scores: npt.NDArray[np.floating], flagged: BoolArray
) -> dict[str, list[int]]:
    """Rows with a wrong call by kind: missed ones by rising score, false positives by falling score.

    Args:
        truth: 1 or 0, NaN where unknown, shape [n].
        scores: Shape [n], NaN where a row has none, which is then in neither list.
        flagged: Shape [n].
    """
    scored = ~np.isnan(scores)
    missed = np.flatnonzero((truth > 0.5) & scored & ~flagged)
    false_positives = np.flatnonzero((truth < 0.5) & scored & flagged)
    return {
        MISSED: missed[np.argsort(scores[missed], kind="stable")][:_MAX_OF_A_KIND].tolist(),
        FALSE_POSITIVE: false_positives[np.argsort(-scores[false_positives], kind="stable")][
            :_MAX_OF_A_KIND
        ].tolist(),
    }


def worst_slides(slides: Sequence[SlideResult]) -> list[WorstError]:
    """Slides with a wrong call, each with its highest region read from the slide; never a label or macro image."""
    truth = np.array([np.nan if slide.truth is None else float(slide.truth) for slide in slides])
    scores = np.array([np.nan if slide.score is None else slide.score for slide in slides])
    flagged = np.array([slide.flagged for slide in slides], np.bool_)
    return [
        WorstError(slides[row].entry.slide_id, kind, float(scores[row]), _image_of_slide(slides[row]))
        for kind, rows in worst_rows(truth, scores, flagged).items()
        for row in rows
    ]


def worst_images(
    entries: Sequence[ImageEntry],
    truth: npt.NDArray[np.floating],
    scores: npt.NDArray[np.floating],
    flagged: BoolArray,
    tiling: TilingConfig,
    images: ImagesConfig,
    labels: Mapping[int, str],
) -> list[WorstError]:
    """Images with a wrong call, cropped as for the model.

    Args:
        entries: In the order of the rows.
        truth: 1 or 0, NaN where unknown, shape [n].
        scores: Shape [n].
        flagged: Shape [n].
        tiling: Side and scale of a tile.
        images: How images are cropped.
        labels: Label in the table, by row.
    """
    return [
        WorstError(
            entries[row].name,
            kind,
            float(scores[row]),
            _image(entries[row], tiling, images),
            labels.get(row, ""),
        )
        for kind, rows in worst_rows(truth, scores, flagged).items()
        for row in rows
    ]


def _image_of_slide(slide: SlideResult) -> bytes:
    if slide.top_region is None:
        return b""
    view = view_of(slide.top_region, slide.spec)
    try:
        with open_unchanged(slide.entry, slide.slide_fingerprint) as opened:
            spec = finest_spec(view.side_um, opened.info.mpp, _SIDE_PX)
            return _jpeg(read_tile(opened, spec, view.x_l0_px, view.y_l0_px))
    except SlideError:
        return b""  # the file went since it was scored: the line stays, without its image


def _image(entry: ImageEntry, tiling: TilingConfig, images: ImagesConfig) -> bytes:
    try:
        return _jpeg(read_image(entry, tiling, images, locked=True).rgb)
    except SlideError:
        return b""


def _jpeg(pixels: RgbArray) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((_SIDE_PX, _SIDE_PX))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()
