"""The worst errors of an evaluation, each with the image that misled the model most."""

import io
from collections.abc import Mapping, Sequence
from contextlib import closing

import numpy as np
import numpy.typing as npt
from PIL import Image

from inkdot.config import Config
from inkdot.datasets.image_cache import read_image
from inkdot.errors import SlideError
from inkdot.evaluation.report import WorstError
from inkdot.evaluation.slide_results import SlideResult
from inkdot.manifest import ImageEntry
from inkdot.metrics.classification import BoolArray
from inkdot.records import RgbArray
from inkdot.review.gallery.fields import finest_spec, view_of
from inkdot.slides import open_slide
from inkdot.tiling.tile_pixels import read_tile

_EACH = 6
"""Of a kind: enough to see a pattern, few enough to look at all."""

_SIDE_PX = 224
_QUALITY = 85

MISSED, FALSE_ALARM = "missed", "false alarm"


def worst_rows(
    truth: npt.NDArray[np.floating], scores: npt.NDArray[np.floating], flagged: BoolArray
) -> dict[str, list[int]]:
    """Rows called wrong, the worst first, by kind: positive and lowest, negative and highest.

    Args:
        truth: 1 or 0, NaN where unknown, shape [n].
        scores: Shape [n], NaN where a row has none, which is then in neither list.
        flagged: Shape [n].
    """
    scored = ~np.isnan(scores)
    missed = np.flatnonzero((truth > 0.5) & scored & ~flagged)
    alarms = np.flatnonzero((truth < 0.5) & scored & flagged)
    return {
        MISSED: missed[np.argsort(scores[missed], kind="stable")][:_EACH].tolist(),
        FALSE_ALARM: alarms[np.argsort(-scores[alarms], kind="stable")][:_EACH].tolist(),
    }


def worst_slides(judged: Sequence[SlideResult]) -> list[WorstError]:
    """Slides called wrong, each with its highest region, read anew from the slide; no label, no overview."""
    truth = np.array([np.nan if slide.truth is None else float(slide.truth) for slide in judged])
    scores = np.array([np.nan if slide.score is None else slide.score for slide in judged])
    flagged = np.array([slide.flagged for slide in judged], np.bool_)
    return [
        WorstError(judged[row].entry.slide_id, kind, float(scores[row]), _image_of_slide(judged[row]))
        for kind, rows in worst_rows(truth, scores, flagged).items()
        for row in rows
    ]


def worst_images(
    entries: Sequence[ImageEntry],
    truth: npt.NDArray[np.floating],
    scores: npt.NDArray[np.floating],
    flagged: BoolArray,
    config: Config,
    labels: Mapping[int, str],
) -> list[WorstError]:
    """Images called wrong, cropped as the model saw them.

    Args:
        entries: In the order of the rows.
        truth: 1 or 0, NaN where unknown, shape [n].
        scores: Shape [n].
        flagged: Shape [n].
        config: How images are cropped.
        labels: What the table says of a row, where it says it in other words.
    """
    return [
        WorstError(
            entries[row].name, kind, float(scores[row]), _image(entries[row], config), labels.get(row, "")
        )
        for kind, rows in worst_rows(truth, scores, flagged).items()
        for row in rows
    ]


def _image_of_slide(slide: SlideResult) -> bytes:
    if slide.top is None:
        return b""
    view = view_of(slide.top, slide.spec)
    try:
        with closing(open_slide(slide.entry)) as opened:
            spec = finest_spec(view.side_um, opened.info.mpp, _SIDE_PX)
            return _jpeg(read_tile(opened, spec, view.x_l0_px, view.y_l0_px))
    except SlideError:
        return b""  # it was read a moment ago; the line stands without its image


def _image(entry: ImageEntry, config: Config) -> bytes:
    try:
        return _jpeg(read_image(entry, config)[0])
    except SlideError:
        return b""


def _jpeg(pixels: RgbArray) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((_SIDE_PX, _SIDE_PX))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()
