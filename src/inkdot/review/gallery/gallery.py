"""The content of a review as one JSON value, which the page's script turns into cards.

Names and warnings are untrusted: the page inserts them as text, never as markup.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inkdot.config import DEFAULT_CATEGORIES, SlideCategory
from inkdot.labels import DEFAULT_HEADS, Head, score_column
from inkdot.metrics.decision.calls import call_threshold, conditional_heads, head_call
from inkdot.review.gallery.cluster_card import cluster_card
from inkdot.review.gallery.fields import ScaleBar, context_field, context_side_um, scale_bar, view_of
from inkdot.review.gallery.patients import grouped_by_patient
from inkdot.review.gallery.slide_cases import panel_facts
from inkdot.review.gallery.slide_review import SlideReview
from inkdot.review.gallery.unassessed import unassessed_facts
from inkdot.review.results.ranking import Region
from inkdot.review.results.scored_slide import ScoreFacts, SlideFrame
from inkdot.review.verdicts.questions import missed_verdicts
from inkdot.review.wording import INADEQUATE, SYNTHETIC_SLIDE
from inkdot.storage.hashing import json_sha256
from inkdot.storage.models.model_records import ReliabilityStep

GALLERY_VERSION = "inkdot.gallery/4"

UNSCORED_SIDE_UM = 64.0
"""Width of a mark by a click on a slide without tiles."""


@dataclass(frozen=True, slots=True)
class GallerySettings:
    """How a review is presented.

    Attributes:
        tiles_folder: Folder of the images, relative to the page.
        blinded_seed: Seed of the order in a reader study, where scores are hidden; None shows scores.
        categories: What readers may say about a slide, in the words of the laboratory.
    """

    tiles_folder: str = "tiles"
    blinded_seed: int | None = None
    categories: Sequence[SlideCategory] = DEFAULT_CATEGORIES


def gallery_facts(reviews: Sequence[SlideReview], settings: GallerySettings) -> dict[str, object]:
    """Everything the page shows.

    A blinded review holds no output of the model: no score, call or count. Slides and regions are shuffled by the seed.

    Args:
        reviews: The slides, in the order of priority.
        settings: How to present them.
    """
    shown = display_order(reviews, settings)
    return frame_facts(reviews, settings) | {"slides": [slide_facts(review, settings) for review in shown]}


def display_order(reviews: Sequence[SlideReview], settings: GallerySettings) -> list[SlideReview]:
    """The slides in display order: as given, those of a patient together; or shuffled by the seed of a blinded review."""
    if settings.blinded_seed is None:
        return grouped_by_patient(reviews)
    shown = sorted(reviews, key=lambda review: review.slide_id)
    random.Random(settings.blinded_seed).shuffle(shown)
    return shown


def frame_facts(reviews: Sequence[SlideReview], settings: GallerySettings) -> dict[str, object]:
    """Facts about the review as a whole; see :func:`gallery_facts`."""
    scored = [review.facts for review in reviews if review.facts is not None]
    heads = scored[0].heads if scored else ()
    return {
        "version": GALLERY_VERSION,
        "review_id": _review_id(reviews, settings),
        "model_sha256": scored[0].model_sha256 if scored else "",
        "synthetic_model": any(slide.synthetic_model for slide in scored),
        "blinded_seed": settings.blinded_seed,
        "heads": [_head_facts(head) for head in heads],
        "slide_categories": [{"name": one.name, "means": one.means} for one in settings.categories],
        "missed_verdicts": missed_verdicts(heads or DEFAULT_HEADS),
    }


def _review_id(reviews: Sequence[SlideReview], settings: GallerySettings) -> str:
    """Name under which a browser stores verdicts; independent of the number of regions shown."""
    scored = sorted(
        (r.slide_id, r.facts.model_sha256, r.facts.tiles_sha256) for r in reviews if r.facts is not None
    )
    return json_sha256([scored, settings.blinded_seed])[:32]


def _head_facts(head: Head) -> dict[str, object]:
    return {
        "name": head.name,
        "classes": [{"name": name, "words": head.call_words(name)} for name in head.classes],
        "verdicts": [{"name": verdict, "weights": dict(weights)} for verdict, weights in _ordered(head)],
        "condition": list(head.condition) if head.condition else None,
        "flag_class": head.flag_class,
    }


def _ordered(head: Head) -> list[tuple[str, Mapping[str, float]]]:
    """Verdicts in display order: the flag class, other classes, mixtures, then those that training does not use.

    The order of the config is lost: footers sort their keys.
    """

    def key(item: tuple[str, Mapping[str, float]]) -> tuple[int, int]:
        weights = item[1]
        if len(weights) != 1:
            return (2 if weights else 3), 0
        name = next(iter(weights))
        return (0 if name == head.flag_class else 1), head.classes.index(name)

    return sorted(head.labels.items(), key=key)


def slide_facts(review: SlideReview, settings: GallerySettings) -> dict[str, object]:
    """Facts about one slide and its regions; see :func:`gallery_facts`."""
    blinded = settings.blinded_seed is not None
    warnings = list(review.warnings)
    facts: dict[str, object] = {
        "id": review.slide_id,
        "problem": review.problem,
        "overview": None,
        "regions": [],
    }
    slide, ranking = review.facts, review.ranking
    frame = review.frame if slide is None else slide.frame
    if frame is not None and frame.synthetic:
        warnings.append(SYNTHETIC_SLIDE)
    facts["warnings"] = warnings
    if not blinded:
        facts |= {"call": review.call, "score": _rounded(_slide_score(review))}
        facts |= {"patient": review.patient, "stain": review.stain}
        if review.case_panel:
            facts["case"] = panel_facts(review.case_panel)
    if review.overview:
        width, height = review.overview_size_px
        src = f"{settings.tiles_folder}/{review.overview}"
        facts["overview"] = {"src": src, "width": width, "height": height}
    if frame is not None:
        facts |= _frame_facts(frame, UNSCORED_SIDE_UM if slide is None else float(slide.spec.side_um))
    if slide is None or ranking is None:
        return facts
    facts["unit"] = ranking.unit
    if review.call == INADEQUATE or not ranking.regions:
        facts["unassessed"] = None if blinded else unassessed_facts(slide.assessment)
    if not blinded:
        facts |= {
            "threshold": _rounded(slide.threshold),
            "count_rule": _count_rule(slide),
            "tiles": ranking.tiles,
            "flagged_tiles": ranking.flagged_tiles,
            "more_flagged": ranking.more_flagged,
            "units": ranking.units,
            "flagged_units": ranking.flagged_units,
            "lymphocyte_reference": _reference_facts(review),
            "measured_clusters": review.measured_clusters,
            "further_calls": review.further_calls,
            "geojson": f"{review.slide_id}.geojson",
            "geojson_left_out": review.geojson_left_out,
        }
    regions = [_region_facts(review, index, settings) for index in range(len(ranking.regions))]
    if blinded:
        # A string seed is the same on every machine: each slide gets its own order.
        random.Random(f"{settings.blinded_seed}/{review.slide_id}").shuffle(regions)
        regions = [region | {"rank": rank} for rank, region in enumerate(regions, start=1)]
    facts["regions"] = regions
    return facts


def _slide_score(review: SlideReview) -> float | None:
    """The slide's score; that of its highest region where ``predictions.csv`` holds it rounded.

    Rounded twice it would differ from the region's in the last digit.
    """
    top = review.ranking.regions[0].score if review.ranking and review.ranking.regions else None
    if review.score is None or top is None:
        return review.score
    return top if round(top, 4) == review.score else review.score


def _count_rule(slide: ScoreFacts) -> dict[str, int] | None:
    """The number of clusters (tiles) of the slide, and the number at which the highest score is that of the slide."""
    rule = slide.slide_score_rule
    return None if rule is None else {"count": slide.count, "reference": round(rule.reference_count)}


def _frame_facts(frame: SlideFrame, side_um: float) -> dict[str, object]:
    bounds = frame.bounds_l0_px
    return {
        "synthetic": frame.synthetic,
        "mpp": [frame.mpp.x, frame.mpp.y],
        "mpp_source": frame.mpp_source,
        "size_l0_px": list(frame.size_l0_px),
        "bounds_l0_px": [bounds.x_l0_px, bounds.y_l0_px, bounds.width_l0_px, bounds.height_l0_px],
        "side_um": side_um,
        "overview_bar": _bar_facts(scale_bar(bounds.width_l0_px * frame.mpp.x)),
    }


def _region_facts(review: SlideReview, index: int, settings: GallerySettings) -> dict[str, object]:
    assert review.ranking is not None
    assert review.facts is not None
    region, slide = review.ranking.regions[index], review.facts
    view = view_of(region, slide.spec)
    facts: dict[str, object] = {
        "rank": region.rank,
        "x_l0_px": region.x_l0_px,
        "y_l0_px": region.y_l0_px,
        "box_l0_px": list(region.corners_l0_px),
        "polygon": region.wkt,
        "side_um": round(view.side_um, 2),
        "context_um": round(context_side_um(view.side_um, slide.frame.mpp), 2),
        "context_px": int(context_field(region, slide.spec, slide.frame.mpp).spec.side_px),
        "bar": _bar_facts(scale_bar(view.side_um)),
        "ring": _ring_in_context(region, slide, region.ring_l0_px),
    }
    if settings.blinded_seed is None:
        facts |= {
            "score": _rounded(region.score),
            "spread": _rounded(region.spread),
            "flagged": region.flagged,
            "reliability": _reliability_facts(slide.reliability_step(region.score)),
            "scores": _scores_by_head(region),
            "calls": _calls(region, slide),
            "cluster": cluster_card(region, slide) if region.cluster else None,
            "tiles": len(region.rows),
            "other_rings": [
                _ring_in_context(region, slide, ring)
                for ring in (region.cluster.flagged_others if region.cluster else ())
            ],
        }
    if review.images:
        images = review.images[index]
        facts |= {
            "tile": f"{settings.tiles_folder}/{images.tile}",
            "context": f"{settings.tiles_folder}/{images.context}",
        }
    return facts


def _ring_in_context(
    region: Region, slide: ScoreFacts, ring: tuple[tuple[float, float], ...]
) -> list[list[float]]:
    """An outline as fractions (0 to 1) of the width of the image of a region with its surroundings."""
    field, mpp = context_field(region, slide.spec, slide.frame.mpp), slide.frame.mpp
    side = float(field.spec.side_um)
    return [
        [round((x - field.x_l0_px) * mpp.x / side, 4), round((y - field.y_l0_px) * mpp.y / side, 4)]
        for x, y in ring
    ]


def _calls(region: Region, slide: ScoreFacts) -> dict[str, str]:
    """Calls of the further heads, such as morphology; none for a region that is not flagged."""
    asked = conditional_heads(slide.heads, slide.head) if region.flagged else []
    return {
        head.name: head_call(
            head,
            [region.scores[score_column(head.name, name)] for name in head.classes],
            call_threshold(slide.abstention, head),
        )
        for head in asked
    }


def _reliability_facts(step: ReliabilityStep | None) -> dict[str, object] | None:
    """The observed share of the flag class among validation regions with similar scores, with its interval."""
    if step is None:
        return None
    share = step.positive
    values = {"share": share.value, "low": share.low, "high": share.high, "from": step.low, "to": step.high}
    return {"regions": step.regions, **{name: round(value, 3) for name, value in values.items()}}


def _reference_facts(review: SlideReview) -> dict[str, object] | None:
    reference = review.lymphocyte_reference
    if reference is None:
        return None
    diameter = reference["diameter_um"]
    rounded = round(diameter, 2) if isinstance(diameter, float) else None
    return {"lymphocytes": reference["lymphocytes"], "diameter_um": rounded, "reason": reference["reason"]}


def _scores_by_head(region: Region) -> Mapping[str, Mapping[str, float]]:
    """Scores by head and class; the columns are named ``p.<head>.<class>``."""
    by_head: dict[str, dict[str, float]] = {}
    for column, score in region.scores.items():
        _, head, class_name = column.split(".", 2)
        by_head.setdefault(head, {})[class_name] = round(score, 6)
    return by_head


def _bar_facts(bar: ScaleBar) -> dict[str, float]:
    return {"length_um": bar.length_um, "fraction": bar.fraction}


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 6)
