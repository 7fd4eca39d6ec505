"""The images of one scored slide: an overview with the regions marked, and a heat map of the scores."""

from contextlib import closing
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from inkdot.config import ReviewConfig
from inkdot.execution.watchdog import watched
from inkdot.pipeline.slide_prediction import call_slide
from inkdot.records import MaskArray, SlideEntry
from inkdot.review.gallery.card_images import crop_to_bounds
from inkdot.review.gallery.fields import OVERVIEW_PX
from inkdot.review.results.read_results import read_reviewed
from inkdot.review.results.scored_slide import SlideFrame
from inkdot.review.slide_images.heat_map import heat_map, indexed, palette
from inkdot.review.slide_images.overview import overview_image
from inkdot.review.slide_images.slide_view import SlideView
from inkdot.slides import open_slide
from inkdot.storage.hashing import file_sha256
from inkdot.storage.image_files import read_image_facts, write_indexed_png, write_jpeg
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome
from inkdot.storage.tables.cluster_scores import read_cluster_scores
from inkdot.storage.tables.predictions import Prediction
from inkdot.storage.tables.scores import read_scores
from inkdot.tiling.mask_image import MAX_SIDE_PX, unjudged_in

IMAGES_VERSION: Final = "inkdot.slide_images/1"
"""Of how they are drawn: whoever draws otherwise raises it, so that earlier ones are drawn anew."""


@dataclass(frozen=True, slots=True)
class RenderTask:
    """:func:`render_slide` for the engine.

    Attributes:
        layout: The results folder.
    """

    layout: RunLayout

    def __call__(self, entry: SlideEntry) -> Outcome:
        """Draw the images of one slide."""
        return render_slide(entry, self.layout)


def render_slide(entry: SlideEntry, layout: RunLayout) -> Outcome:
    """Write ``overview/<slide_id>.jpg`` and ``heatmap/<slide_id>.png``, or keep those made from the same scores.

    Only the pixels of the slide itself are used, read in strips where it has no small level: never its label or macro.

    Raises:
        StorageError: The slide's scores, clusters or mask image are missing or damaged.
        SlideError: The slide's pixels cannot be read.
    """
    slide_id = entry.slide_id
    said = caption_lines(layout, slide_id)
    facts = _made_from(layout, slide_id, said)
    if _fit(layout, slide_id, facts):
        return "reused"
    remove_slide_images(layout, slide_id)  # should drawing fail, none may lie there that show other scores
    reviewed = read_reviewed(layout, slide_id, slide_id)
    frame, config = reviewed.slide.facts.frame, ReviewConfig()
    with closing(watched(open_slide(entry))) as slide:
        thumbnail = slide.thumbnail(OVERVIEW_PX)
    unjudged = _unjudged(layout, slide_id, frame, (thumbnail.shape[1], thumbnail.shape[0]))
    cropped = crop_to_bounds(thumbnail, frame)
    hidden = crop_to_bounds(unjudged[..., None].astype(np.uint8), frame)[..., 0] > 0
    view = SlideView(cropped, hidden, frame)
    ranking = reviewed.ranking(config.top_n, config.min_distance_fraction)
    write_jpeg(layout.overview(slide_id), overview_image(view, reviewed.slide.facts, ranking, said), facts)
    rows = indexed(heat_map(view, reviewed.slide, said))
    write_indexed_png(layout.heat_map(slide_id), rows, palette(), facts)
    return "done"


def caption_lines(layout: RunLayout, slide_id: str) -> Prediction:
    """The line in ``predictions.csv`` of a slide that was scored.

    Raises:
        StorageError: Its scores are missing or damaged.
    """
    clustered = layout.cluster_scores(slide_id)
    clusters = read_cluster_scores(clustered) if clustered.exists() else None
    return call_slide(slide_id, read_scores(layout.scores(slide_id)), clusters)


def slide_images_current(entry: SlideEntry, layout: RunLayout) -> bool:
    """Whether earlier images would be kept, given that the slide's scores and clusters are."""
    said = caption_lines(layout, entry.slide_id)
    return _fit(layout, entry.slide_id, _made_from(layout, entry.slide_id, said))


def remove_slide_images(layout: RunLayout, slide_id: str) -> None:
    """Take away the images of a slide."""
    layout.overview(slide_id).unlink(missing_ok=True)
    layout.heat_map(slide_id).unlink(missing_ok=True)


def _made_from(layout: RunLayout, slide_id: str, said: Prediction) -> dict[str, object]:
    clustered = layout.cluster_scores(slide_id)
    return {
        "version": IMAGES_VERSION,
        "warnings": said.warnings,
        "reason": said.reason,
        "scores_sha256": file_sha256(layout.scores(slide_id)),
        "cluster_scores_sha256": file_sha256(clustered) if clustered.exists() else None,
        "mask_sha256": file_sha256(layout.mask(slide_id)),
    }


def _fit(layout: RunLayout, slide_id: str, facts: dict[str, object]) -> bool:
    paths = (layout.overview(slide_id), layout.heat_map(slide_id))
    return all(read_image_facts(path) == facts for path in paths)


def _unjudged(layout: RunLayout, slide_id: str, frame: SlideFrame, size_px: tuple[int, int]) -> MaskArray:
    """What the slide's mask image says cannot be judged, at the size (width, height) of another image of it."""
    shrink = min(1.0, MAX_SIDE_PX / max(frame.size_l0_px))
    height = max(1, round(frame.size_l0_px[1] * shrink))
    found = unjudged_in(layout.mask(slide_id).read_bytes(), height)
    return cv2.resize(found.astype(np.uint8), size_px, interpolation=cv2.INTER_NEAREST) > 0
