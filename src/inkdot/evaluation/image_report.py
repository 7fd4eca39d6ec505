"""Scored images to the report of an evaluation: groups (patients, or original images) first."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inkdot.evaluation.head_metrics import decided_rows
from inkdot.evaluation.image_results import ImageResults, sites_of
from inkdot.evaluation.oof_metrics import confusion_of, cross_validation_metrics
from inkdot.evaluation.report import Confusion, EvaluationReport, Metrics, Plot
from inkdot.evaluation.selective_prediction import abstention_fact, answering, call_word
from inkdot.evaluation.slide_report import (
    counts_words,
    member_words,
    metric_prefix,
    model_fact,
    reliability_plot,
    warnings_of,
)
from inkdot.evaluation.worst_errors import worst_images
from inkdot.labels import flagging_head
from inkdot.metrics.curves import reliability_rows, roc_points
from inkdot.metrics.slide_level import NOT_ASKED, SlideResults, as_patients, slide_metrics, subgroup_metrics
from inkdot.model.targets import flag_column, head_slices
from inkdot.storage.model_files import AbstentionBand, ModelFile


def image_report(
    judged: ImageResults, model: ModelFile, model_sha256: str, source: Path, notes: Sequence[str]
) -> EvaluationReport:
    """The report on labelled images, with the metrics that slides have where they make sense.

    Args:
        judged: What was scored.
        model: What judged.
        model_sha256: Hash that stands for it.
        source: The table.
        notes: Further warnings.
    """
    heads, found = model.head_records, judged.results
    head, column = flagging_head(heads), flag_column(heads)
    rows, truth = decided_rows(found.targets, column)
    results = _results(judged, column)
    groups = as_patients(results, {})
    prefix = metric_prefix(model)
    scores = found.scores[rows, column].astype(np.float64)
    reliability = reliability_rows(truth, scores, found.patients[rows])
    point, locked = model.operating_points[head.name].threshold, model.abstention.get(head.name)
    labelled = answering(truth, scores, found.patients[rows], point, locked)
    metrics = {
        "Groups": slide_metrics(groups, ks=()),
        "Images": cross_validation_metrics(found, heads, seed=0) | labelled.metrics,
    }
    return EvaluationReport(
        title="How good the model is",
        unit="image",
        warnings=[*warnings_of(model, 0), *notes],
        facts=[
            f"{len(judged.entries)} images of {len(groups.patients)} groups from {source.name}; a group is a patient or an "
            "original image, and intervals are over groups.",
            f"Groups: {counts_words(groups.truth)}. Images: {counts_words(results.truth)}.",
            f"Head: {head.name}, {head.flag_class} at or above {point:.4g}, locked when the model was made. A group is "
            "flagged where one image reaches it.",
            abstention_fact(locked),
            model_fact(model, model_sha256),
        ],
        metrics={level: _named(own, prefix) for level, own in metrics.items()},
        calls=_calls(results, locked),
        confusions={own.name: confusion_of(found, own, head_slices(heads)[own.name]) for own in heads},
        subgroups={
            name: {word: _named(own, prefix) for word, own in words.items()}
            for name, words in subgroup_metrics(results).items()
        },
        members=member_words(results, "images", "groups"),
        failed=judged.failed,
        plots=[
            Plot("ROC of images", "1 − specificity", "sensitivity", roc_points(truth, scores)),
            labelled.plot("images"),
            reliability_plot(reliability, "image scores"),
        ],
        reliability=reliability,
        errors=worst_images(
            judged.entries,
            results.truth,
            results.scores,
            results.flagged,
            judged.config,
            {row: entry.labels.get(head.name, "") for row, entry in enumerate(judged.entries)},
        ),
        curves={"risk_coverage": [{"coverage": x, "risk": y} for x, y in labelled.curve]},
    )


def _named(metrics: Metrics, prefix: str) -> Metrics:
    return {prefix + name: estimate for name, estimate in metrics.items()}


def _results(judged: ImageResults, column: int) -> SlideResults:
    """Every image as a slide of one tile; a target of ½ is nobody's truth."""
    found = judged.results
    own = found.targets[:, column].astype(np.float64)
    return SlideResults(
        patients=found.patients,
        truth=np.where(own == 0.5, np.nan, own),
        scores=found.scores[:, column].astype(np.float64),
        flagged=found.flagged,
        hit_ranks=np.full(len(own), NOT_ASKED),
        groups={"site": sites_of(judged)},
    )


def _calls(results: SlideResults, locked: AbstentionBand | None) -> Confusion:
    truths = ["unknown" if np.isnan(t) else "positive" if t > 0.5 else "negative" for t in results.truth]
    calls = [
        call_word(bool(flagged), locked is not None and locked.holds(float(score)))
        for flagged, score in zip(results.flagged, results.scores, strict=True)
    ]
    return dict(Counter(zip(truths, calls, strict=True)))
