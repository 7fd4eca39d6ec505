"""The images of one scored slide: an overview with the ranked regions, and a heat map of the scores."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np

from inkdot.config import ReviewConfig
from inkdot.errors import StorageError
from inkdot.execution.watchdog import with_heartbeat
from inkdot.pipeline.results.slide_prediction import slide_prediction
from inkdot.records import MaskArray, RgbArray, SlideEntry
from inkdot.review.gallery.card_images import crop_to_bounds
from inkdot.review.gallery.fields import OVERVIEW_PX
from inkdot.review.results.read_results import read_slide_results
from inkdot.review.results.scored_slide import SlideFrame
from inkdot.review.slide_images.heat_map import heat_map, indexed, palette
from inkdot.review.slide_images.overview import overview_image
from inkdot.review.slide_images.slide_view import SlideView
from inkdot.slides.unchanged import open_unchanged
from inkdot.storage.hashing import file_sha256
from inkdot.storage.image_files import read_image_metadata, write_indexed_png, write_jpeg
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import Outcome
from inkdot.storage.tables.cluster_scores import read_cluster_scores
from inkdot.storage.tables.parquet_tables import checked_footer
from inkdot.storage.tables.predictions import Prediction
from inkdot.storage.tables.scores import read_scores
from inkdot.tiling.mask_image import MAX_SIDE_PX, not_assessable_in

IMAGES_VERSION: Final = "inkdot.slide_images/1"
"""Raise it with any change of the drawing, so that earlier images are drawn again."""


@dataclass(frozen=True, slots=True)
class RenderTask:
    """:func:`render_slide` as a task for an executor.

    Attributes:
        layout: The results folder.
    """

    layout: RunLayout

    def __call__(self, entry: SlideEntry) -> Outcome:
        """Draw the images of one slide."""
        return render_slide(entry, self.layout)


def render_slide(entry: SlideEntry, layout: RunLayout) -> Outcome:
    """Write ``overview/<slide_id>.jpg`` and ``heatmap/<slide_id>.png``, or reuse those made from the same scores.

    Only the pixels of the slide itself are read, in strips where it has no small level: never its label or macro image.

    Raises:
        StorageError: The slide's scores, clusters or mask image are missing or damaged.
        SlideError: The slide's pixels cannot be read.
    """
    slide_id = entry.slide_id
    prediction = read_slide_prediction(layout, slide_id)
    facts = _provenance(layout, slide_id, prediction)
    if _are_current(layout, slide_id, facts):
        return "reused"
    remove_slide_images(layout, slide_id)  # if drawing fails, images of other scores must not remain
    images = draw_slide(entry, layout)
    write_jpeg(layout.overview(slide_id), images.overview, facts)
    write_indexed_png(layout.heat_map(slide_id), indexed(images.heat_map), palette(), facts)
    return "done"


class SlideImages(NamedTuple):
    """The images of one scored slide with their captions, uint8 RGB [height, width, 3].

    Attributes:
        overview: The slide with its highest-scored regions ringed and numbered.
        heat_map: The slide in pale grey with every tile in the colour of its score.
    """

    overview: RgbArray
    heat_map: RgbArray


def draw_slide(entry: SlideEntry, layout: RunLayout, max_side_px: int = OVERVIEW_PX) -> SlideImages:
    """Draw the images of a scored slide without writing them.

    Args:
        entry: The slide.
        layout: The results folder.
        max_side_px: Longest side of the slide in the images, in pixels; captions are added below.

    Raises:
        StorageError: The slide's scores, clusters or mask image are missing or damaged.
        SlideError: The slide's pixels cannot be read.
    """
    slide_id = entry.slide_id
    prediction = read_slide_prediction(layout, slide_id)
    reviewed = read_slide_results(layout, slide_id, slide_id)
    frame, config = reviewed.slide.facts.frame, ReviewConfig()
    with open_unchanged(entry, reviewed.slide.facts.slide_fingerprint) as slide:
        thumbnail = with_heartbeat(slide).thumbnail(max_side_px)
    blocked = _not_assessable(layout, slide_id, frame, (thumbnail.shape[1], thumbnail.shape[0]))
    hidden = crop_to_bounds(blocked[..., None].astype(np.uint8), frame)[..., 0] > 0
    view = SlideView(crop_to_bounds(thumbnail, frame), hidden, frame)
    ranking = reviewed.ranking(config.top_n, config.min_distance_fraction)
    return SlideImages(
        overview_image(view, reviewed.slide.facts, ranking, prediction),
        heat_map(view, reviewed.slide, prediction),
    )


def read_slide_prediction(layout: RunLayout, slide_id: str) -> Prediction:
    """The line in ``predictions.csv`` of a slide that was scored.

    Raises:
        StorageError: Its scores are missing or damaged.
    """
    clustered = layout.cluster_scores(slide_id)
    clusters = read_cluster_scores(clustered) if clustered.exists() else None
    scores = read_scores(layout.scores(slide_id))
    if clusters is not None and not clusters.fits(len(scores.table)):
        raise StorageError(
            f"{clustered}: expected clusters of the {len(scores.table)} tiles in {layout.scores(slide_id)}, found some of "
            "other tiles; run `inkdot predict` again"
        )
    with checked_footer(layout.scores(slide_id), "scored tiles"):
        return slide_prediction(slide_id, scores, clusters)


def slide_images_current(entry: SlideEntry, layout: RunLayout) -> bool:
    """Whether earlier images are valid, given that the slide's scores and clusters are."""
    prediction = read_slide_prediction(layout, entry.slide_id)
    return _are_current(layout, entry.slide_id, _provenance(layout, entry.slide_id, prediction))


def remove_slide_images(layout: RunLayout, slide_id: str) -> None:
    """Remove the images of a slide."""
    layout.overview(slide_id).unlink(missing_ok=True)
    layout.heat_map(slide_id).unlink(missing_ok=True)


def _provenance(layout: RunLayout, slide_id: str, prediction: Prediction) -> dict[str, object]:
    clustered = layout.cluster_scores(slide_id)
    return {
        "version": IMAGES_VERSION,
        "warnings": prediction.warnings,
        "reason": prediction.reason,
        "scores_sha256": file_sha256(layout.scores(slide_id)),
        "cluster_scores_sha256": file_sha256(clustered) if clustered.exists() else None,
        "mask_sha256": file_sha256(layout.mask(slide_id)),
    }


def _are_current(layout: RunLayout, slide_id: str, facts: dict[str, object]) -> bool:
    paths = (layout.overview(slide_id), layout.heat_map(slide_id))
    return all(read_image_metadata(path) == facts for path in paths)


def _not_assessable(
    layout: RunLayout, slide_id: str, frame: SlideFrame, size_px: tuple[int, int]
) -> MaskArray:
    """The part of the slide that its mask image marks as not assessable, at the size (width, height) of another image."""
    shrink = min(1.0, MAX_SIDE_PX / max(frame.size_l0_px))
    height = max(1, round(frame.size_l0_px[1] * shrink))
    mask = not_assessable_in(layout.mask(slide_id).read_bytes(), height)
    return cv2.resize(mask.astype(np.uint8), size_px, interpolation=cv2.INTER_NEAREST) > 0
