"""The call of a slide, from its scores."""

import math

import numpy as np
import numpy.typing as npt

from inkdot.labels import Head
from inkdot.metrics.decision.calls import call_threshold, conditional_heads, head_call
from inkdot.pipeline.results.attention_score import attention_score
from inkdot.pipeline.results.warnings import ood_reason
from inkdot.storage.tables.cluster_scores import ClusterScores
from inkdot.storage.tables.predictions import WARNING_SEPARATOR, Prediction, SlideCall
from inkdot.storage.tables.scores import SlideScores

BoolArray = npt.NDArray[np.bool_]


def slide_prediction(slide_id: str, scores: SlideScores, clusters: ClusterScores | None = None) -> Prediction:
    """The slide's line in ``predictions.csv``.

    - The score is that of the highest cluster (of the highest tile where the slide was tiled on the grid), corrected for how
      many there are where the model has such a rule: of many clean clusters one scores high by chance. One malignant
      cluster on an otherwise clean slide is what Inkdot must find, so nothing is averaged.
    - A model with attention pools the tiles by their attention instead.
    - The slide is flagged when the score reaches the operating point, which is when one of its clusters (tiles) is flagged.
    - A slide with too little material is inadequate, whatever its scores.
    - A slide unlike those of training (stain or preparation never seen, OOD distance above the limit) is indeterminate unless
      its scores were made with ``keep_ood_calls``: threshold and band were measured on other slides.
    - A score in the abstention band, where calls were wrong too often on validation data, makes the slide indeterminate.
      Its regions are flagged all the same.
    - Further heads, such as morphology, are called on the flagged regions alone.

    Args:
        slide_id: The slide.
        scores: Of its tiles.
        clusters: Of its clusters; None where the slide was tiled on the grid.
    """
    warnings = WARNING_SEPARATOR.join(scores.warnings if clusters is None else clusters.warnings)
    if not len(scores.flag_scores):
        return _without_tiles(slide_id, scores, clusters, warnings)
    assessment = scores.assessment
    values = scores.flag_scores if clusters is None else clusters.flag_scores
    # Compared as float32, in which scores are stored: the score that set the threshold must reach it.
    threshold = np.float32(scores.threshold)
    flagged = np.nan_to_num(values, nan=-1.0).astype(np.float32) >= threshold
    best = int(np.nanargmax(values))
    top = best if clusters is None else clusters.top_tile(best)
    score, positive = slide_score(scores, clusters) or (math.nan, False)
    call, reason = _call(scores, score, positive=positive, flagged=int(flagged.sum()))
    return Prediction(
        slide_id=slide_id,
        outcome="done",
        call=call,
        score=f"{score:.4f}",
        tiles=len(scores.flag_scores),
        flagged_tiles=int(scores.flagged.sum()),
        clusters="" if clusters is None else str(len(values)),
        flagged_clusters="" if clusters is None else str(int(flagged.sum())),
        further_calls=_further_calls(scores, clusters, flagged),
        top_x_l0_px=str(scores.table.column("x_l0_px")[top].as_py()),
        top_y_l0_px=str(scores.table.column("y_l0_px")[top].as_py()),
        warnings=warnings,
        reason=reason,
        nuclei_in_focus=_number(assessment.get("nuclei_in_focus"), "d"),
        assessable_mm2=_number(assessment.get("assessable_mm2"), ".4g"),
        unassessable_fraction=_number(assessment.get("unassessable_fraction"), ".4f"),
        spread=_number(slide_spread(scores, clusters), ".4f"),
    )


def slide_spread(scores: SlideScores, clusters: ClusterScores | None = None) -> float | None:
    """How far the members of an ensemble are apart on the slide: the standard deviation of their scores.

    Of the slide's own score by attention, else of the score of its highest tile or cluster, which is the slide's.

    Returns:
        None where the model is one network, or there is no tile.
    """
    if scores.member_slide_scores:
        return float(np.std(scores.member_slide_scores))
    if scores.spread is None or not len(scores.flag_scores):
        return None
    values = scores.flag_scores if clusters is None else clusters.flag_scores
    best = int(np.nanargmax(values))
    return float(scores.spread[best if clusters is None else clusters.top_tile(best)])


def slide_score(scores: SlideScores, clusters: ClusterScores | None = None) -> tuple[float, bool] | None:
    """The slide's score of the flag class, 0 to 1, and whether it reaches the operating point; None without a tile.

    Args:
        scores: Of its tiles.
        clusters: Of its clusters; None where the slide was tiled on the grid.
    """
    if not len(scores.flag_scores):
        return None
    # Compared as float32, in which scores are stored: the score that set the threshold must reach it.
    pooled = attention_score(scores)
    if pooled is not None:
        return float(pooled), bool(
            pooled >= np.float32(scores.operating_points[scores.flag_head.name].threshold)
        )
    highest = np.float32(np.nanmax(scores.flag_scores if clusters is None else clusters.flag_scores))
    # Compared with the threshold for its clusters: the slide is flagged exactly where one of them is.
    reached = bool(highest >= np.float32(scores.threshold))
    rule = scores.slide_score_rule
    return float(highest if rule is None else rule.corrected(highest, scores.count)), reached


def _without_tiles(
    slide_id: str, scores: SlideScores, clusters: ClusterScores | None, warnings: str
) -> Prediction:
    """The line of a slide on which there was nothing to score."""
    assessment = scores.assessment
    return Prediction(
        slide_id=slide_id,
        outcome="done",
        call="inadequate",
        clusters="" if clusters is None else str(clusters.table.num_rows),
        flagged_clusters="" if clusters is None else "0",
        warnings=warnings,
        reason=str(assessment.get("why") or "no tile with foreground"),
        nuclei_in_focus=_number(assessment.get("nuclei_in_focus"), "d"),
        assessable_mm2=_number(assessment.get("assessable_mm2"), ".4g"),
        unassessable_fraction=_number(assessment.get("unassessable_fraction"), ".4f"),
    )


def _call(scores: SlideScores, score: float, *, positive: bool, flagged: int) -> tuple[SlideCall, str]:
    """The call, and the reason where the slide is inadequate or indeterminate."""
    if not scores.assessment.get("adequate", True):
        why = str(scores.assessment.get("why", ""))
        return (
            "inadequate",
            f"{why}; {flagged} regions were flagged all the same: review them" if flagged else why,
        )
    if scores.ood_reasons and not scores.keep_ood_calls:
        return "indeterminate", ood_reason(scores.ood_reasons, flagged, "regions")
    band = scores.abstention.get(scores.flag_head.name)
    if band is not None and band.holds(score):
        reason = (
            f"the score is in the abstention band between {band.low:.4g} and {band.high:.4g}, where calls were wrong too "
            "often on validation data"
        )
        return "indeterminate", reason
    return "flagged" if positive else "nothing flagged", ""


def _number(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else ""


def _further_calls(scores: SlideScores, clusters: ClusterScores | None, flagged: BoolArray) -> str:
    """Calls of the heads conditional on the flag class, such as ``morphology: small-cell-like``."""
    source = scores if clusters is None else clusters

    def mean(head: Head, name: str) -> float:
        return float(np.mean(source.probabilities(head.name, name)[flagged]))

    if not flagged.any():
        return ""
    return "; ".join(
        f"{head.name}: "
        + head_call(
            head, [mean(head, name) for name in head.classes], call_threshold(scores.abstention, head)
        )
        for head in conditional_heads(scores.heads, scores.flag_head)
    )
