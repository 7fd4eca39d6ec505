"""Images of a prediction: overview, heat map and cluster card, as `inkdot predict` and the gallery draw them.

Every function returns an RGB :class:`PIL.Image.Image`, which a notebook shows inline. Captions state the call, the scale
bar, warnings, and that this is for research use only.
"""

from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from inkdot.api.prediction import SlidePrediction
from inkdot.api.python_words import at_least_one
from inkdot.errors import UserError
from inkdot.labels import score_column
from inkdot.metrics.decision.calls import call_threshold, conditional_heads, head_call
from inkdot.records import RgbArray, Slide
from inkdot.review.gallery.fields import OVERVIEW_PX, context_field, scale_bar, tile_field, view_of
from inkdot.review.results.cluster_facts import ClusterFacts
from inkdot.review.results.ranking import Region
from inkdot.review.results.scored_slide import ScoreFacts
from inkdot.review.slide_images.caption import Caption, Sample, with_caption
from inkdot.review.slide_images.score_colours import BELOW, FLAGGED
from inkdot.review.wording import score_text
from inkdot.slides.unchanged import open_unchanged
from inkdot.tiling.tile_pixels import read_tile

__all__ = ["cluster_card", "heatmap", "overview"]

_CARD_PX: Final = 480
_GAP_PX: Final = 12
_FRAME: Final = (170, 170, 170)


def overview(prediction: SlidePrediction, max_side: int = OVERVIEW_PX) -> Image.Image:
    """The slide with its highest-scored regions ringed and numbered by rank.

    Args:
        prediction: Of :meth:`inkdot.Model.predict_slide`, or of a results folder.
        max_side: Longest side of the slide in the image, in pixels; the caption is added below.

    Raises:
        SlideError: The slide's pixels cannot be read.

    Examples:
        >>> inkdot.plot.overview(prediction, max_side=900)
    """
    return Image.fromarray(prediction.images(max_side).overview)


def heatmap(prediction: SlidePrediction, max_side: int = OVERVIEW_PX) -> Image.Image:
    """The slide in pale grey with every tile in the colour of its score: blue below the threshold, orange from there on.

    Args:
        prediction: Of :meth:`inkdot.Model.predict_slide`, or of a results folder.
        max_side: Longest side of the slide in the image, in pixels; the caption is added below.

    Raises:
        SlideError: The slide's pixels cannot be read.

    Examples:
        >>> inkdot.plot.heatmap(prediction)
    """
    return Image.fromarray(prediction.images(max_side).heat_map)


def cluster_card(prediction: SlidePrediction, rank: int = 1) -> Image.Image:
    """One region as on its card in the gallery: close up, and outlined in its surroundings, with scores and measurements.

    Args:
        prediction: Of :meth:`inkdot.Model.predict_slide`, or of a results folder.
        rank: Which region, 1 for the most suspicious; see :meth:`inkdot.SlidePrediction.regions`.

    Raises:
        UserError: The slide has no region of this rank.
        SlideError: The slide's pixels cannot be read.

    Examples:
        >>> inkdot.plot.cluster_card(prediction, rank=1)
    """
    regions = prediction.ranking(at_least_one("rank", rank)).regions
    if rank > len(regions):
        raise UserError(f"rank: expected 1 to {len(regions)} on {prediction.slide_id}, found {rank}")
    region, facts = regions[rank - 1], prediction.reviewed.slide.facts
    with open_unchanged(prediction.entry, facts.slide_fingerprint) as opened:
        close, around = _fields(opened, region, facts)
    gap = np.full((_CARD_PX, _GAP_PX, 3), 255, np.uint8)
    both = np.concatenate([close, gap, around], axis=1)
    bar = scale_bar(view_of(region, facts.spec).side_um)
    caption = Caption(
        title=f"{prediction.slide_id}, rank {region.rank}: {_score_words(region, facts)}",
        synthetic=facts.synthetic_model or facts.frame.synthetic,
        bar=type(bar)(bar.length_um, bar.fraction * _CARD_PX / both.shape[1]),
        samples=[Sample(_swatch(flagged=region.flagged), words) for words in _lines(region, facts)],
        warnings=prediction.warnings,
    )
    return Image.fromarray(with_caption(both, caption))


def _fields(opened: Slide, region: Region, facts: ScoreFacts) -> tuple[RgbArray, RgbArray]:
    """The region close up, and its surroundings with its outline, both of one size."""
    mpp = facts.frame.mpp
    tile, context = (field(region, facts.spec, mpp) for field in (tile_field, context_field))
    images = [
        Image.fromarray(read_tile(opened, field.spec, field.x_l0_px, field.y_l0_px)).resize(
            (_CARD_PX, _CARD_PX), Image.Resampling.LANCZOS
        )
        for field in (tile, context)
    ]
    scale = _CARD_PX / float(context.spec.side_um)
    ring = [
        ((x - context.x_l0_px) * mpp.x * scale, (y - context.y_l0_px) * mpp.y * scale)
        for x, y in region.ring_l0_px
    ]
    pen = ImageDraw.Draw(images[1])
    pen.line(ring, (255, 255, 255), 4, "curve")
    pen.line(ring, FLAGGED if region.flagged else BELOW, 2, "curve")
    for image in images:  # a frame: beyond the edge of a slide pixels are white
        ImageDraw.Draw(image).rectangle((0, 0, _CARD_PX - 1, _CARD_PX - 1), outline=_FRAME)
    return np.asarray(images[0]), np.asarray(images[1])


def _swatch(*, flagged: bool) -> RgbArray:
    return np.full((14, 14, 3), FLAGGED if flagged else BELOW, np.uint8)


def _score_words(region: Region, facts: ScoreFacts) -> str:
    flag = facts.head.flag_class or ""
    side = "flagged, threshold" if region.flagged else "below the threshold of"
    return f"{facts.head.call_words(flag)} {score_text(region.score)} ({side} {facts.threshold:.4g})"


def _lines(region: Region, facts: ScoreFacts) -> list[str]:
    lines: list[str] = []
    for head in conditional_heads(facts.heads, facts.head) if region.flagged else []:
        scores = [region.scores[score_column(head.name, name)] for name in head.classes]
        shown = ", ".join(
            f"{head.call_words(n)} {score_text(score)}" for n, score in zip(head.classes, scores, strict=True)
        )
        lines.append(
            f"{head.name}: {head_call(head, scores, call_threshold(facts.abstention, head))} ({shown})"
        )
    return lines + (_cluster_lines(region.cluster) if region.cluster else [])


def _cluster_lines(cluster: ClusterFacts) -> list[str]:
    words = [f"about {cluster.nuclei} nuclei" if cluster.nuclei > 1 else "one nucleus"]
    if cluster.measured_nuclei:
        words.append(f"{cluster.measured_nuclei} measured")
    for name, form in (
        ("diameter_median_um", "median diameter {:.1f} µm"),
        ("diameter_ratio", "{:.2f} x a lymphocyte"),
        ("nc_diameter_ratio_median", "nucleus to cell {:.2f}"),
        ("aspect_median", "aspect {:.2f}"),
    ):
        if name in cluster.measures:
            words.append(form.format(cluster.measures[name]))
    return ["; ".join(words), *([", ".join(cluster.reservations)] if cluster.reservations else [])]
