"""From scores to what is said of a slide."""

import numpy as np
import numpy.typing as npt

from inkdot.labels import Head
from inkdot.metrics.calls import certain_from, further_call, heads_asked_of
from inkdot.pipeline.attention_score import attention_score
from inkdot.storage.tables.cluster_scores import ClusterScores
from inkdot.storage.tables.predictions import WARNING_SEPARATOR, Prediction
from inkdot.storage.tables.scores import SlideScores

Flags = npt.NDArray[np.bool_]


def call_slide(slide_id: str, scores: SlideScores, clusters: ClusterScores | None = None) -> Prediction:
    """The slide's line in ``predictions.csv``.

    The rule: a slide's score is its highest cluster's (its highest tile's where the grid was cut), and the slide is
    flagged when at least one reaches the locked operating point. One malignant cluster on an otherwise clean
    slide is the case Inkdot exists for, so no averaging may dilute it. A model that learnt from whole slides judges them
    by attention instead, which learns where to look. A slide with too little to judge is
    inadequate, whatever its scores. One whose score lies where the model's labels were wrong too often on validation data
    is indeterminate: nobody may take it for negative, and its regions are flagged all the same.

    Further heads, such as morphology, are labelled of what is flagged alone.

    Args:
        slide_id: The slide.
        scores: Of its tiles.
        clusters: Of its clusters; None where the grid was cut.
    """
    warnings = WARNING_SEPARATOR.join(scores.warnings if clusters is None else clusters.warnings)
    if not len(scores.flag_scores):
        return Prediction(slide_id, "done", "inadequate", warnings=warnings, reason="no tile with foreground")
    values = scores.flag_scores if clusters is None else clusters.flag_scores
    threshold = np.float32(scores.operating_points[scores.flag_head.name].threshold)
    # Scores are stored as float32: compared as such, the one that set the threshold reaches it.
    flagged = np.nan_to_num(values, nan=-1.0).astype(np.float32) >= threshold
    best = int(np.nanargmax(values))
    top = best if clusters is None else clusters.top_tile(best)
    by_attention = attention_score(scores)
    score = values[best] if by_attention is None else by_attention
    positive = flagged.any() if by_attention is None else by_attention >= threshold
    reason, call = _too_little(scores, int(flagged.sum())), "flagged" if positive else "nothing flagged"
    if reason:
        call = "inadequate"
    elif abstained := _left_open(scores, float(score)):
        reason, call = abstained, "indeterminate"
    judged = scores.assessment
    return Prediction(
        slide_id=slide_id,
        outcome="done",
        call=call,
        score=f"{float(score):.4f}",
        tiles=len(scores.flag_scores),
        flagged_tiles=int(scores.flagged.sum()),
        clusters="" if clusters is None else str(len(values)),
        flagged_clusters="" if clusters is None else str(int(flagged.sum())),
        further_calls=_further_calls(scores, clusters, flagged),
        top_x_l0_px=str(scores.table.column("x_l0_px")[top].as_py()),
        top_y_l0_px=str(scores.table.column("y_l0_px")[top].as_py()),
        warnings=warnings,
        reason=reason,
        nuclei_in_focus=_number(judged.get("nuclei_in_focus"), "d"),
        assessable_mm2=_number(judged.get("assessable_mm2"), ".4g"),
        unassessable_fraction=_number(judged.get("unassessable_fraction"), ".4f"),
    )


def _too_little(scores: SlideScores, flagged: int) -> str:
    """Why the slide is inadequate, empty where it is not. What was flagged all the same is said with it."""
    if scores.assessment.get("adequate", True):
        return ""
    why = str(scores.assessment.get("why", ""))
    return f"{why}; {flagged} regions were flagged all the same: look at them" if flagged else why


def _left_open(scores: SlideScores, score: float) -> str:
    """Why no label is given, empty where one is."""
    locked = scores.abstention.get(scores.flag_head.name)
    if locked is None or not locked.holds(score):
        return ""
    return (
        f"a score between {locked.low:.4g} and {locked.high:.4g} is left open: labels there were wrong too often on "
        "validation data"
    )


def _number(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else ""


def _further_calls(scores: SlideScores, clusters: ClusterScores | None, flagged: Flags) -> str:
    """Labels of the heads that are asked only of the flag class, such as ``morphology: small-cell-like``."""
    source = scores if clusters is None else clusters

    def mean(head: Head, name: str) -> float:
        return float(np.mean(source.probabilities(head.name, name)[flagged]))

    if not flagged.any():
        return ""
    return "; ".join(
        f"{head.name}: "
        + further_call(
            head, [mean(head, name) for name in head.classes], certain_from(scores.abstention, head)
        )
        for head in heads_asked_of(scores.heads, scores.flag_head)
    )
