"""Judged pictures to the report of an evaluation: groups (patients, or original pictures) first."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inkdot.evaluation.head_metrics import decided_rows
from inkdot.evaluation.image_results import JudgedPictures, sites_of
from inkdot.evaluation.oof_metrics import confusion_of, cross_validation_figures
from inkdot.evaluation.report import Confusion, EvaluationReport, Figures, Plot
from inkdot.evaluation.selective_prediction import answering, call_word, left_open_fact
from inkdot.evaluation.slide_report import (
    counts_words,
    figure_prefix,
    member_words,
    model_fact,
    reliability_plot,
    warnings_of,
)
from inkdot.evaluation.worst_errors import worst_pictures
from inkdot.labels import flagging_head
from inkdot.metrics.curves import reliability_rows, roc_points
from inkdot.metrics.slide_level import NOT_ASKED, SlideResults, as_patients, slide_figures, subgroup_figures
from inkdot.model.targets import flag_column, head_slices
from inkdot.storage.model_files import LeftOpen, ModelFile


def picture_report(
    judged: JudgedPictures, model: ModelFile, model_sha256: str, source: Path, notes: Sequence[str]
) -> EvaluationReport:
    """The report on labelled pictures, with the figures that slides have where they make sense.

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
    prefix = figure_prefix(model)
    scores = found.scores[rows, column].astype(np.float64)
    reliability = reliability_rows(truth, scores, found.patients[rows])
    point, locked = model.operating_points[head.name].threshold, model.abstention.get(head.name)
    answered = answering(truth, scores, found.patients[rows], point, locked)
    figures = {
        "Groups": slide_figures(groups, ks=()),
        "Pictures": cross_validation_figures(found, heads, seed=0) | answered.figures,
    }
    return EvaluationReport(
        title="How good the model is",
        unit="picture",
        warnings=[*warnings_of(model, 0), *notes],
        facts=[
            f"{len(judged.entries)} pictures of {len(groups.patients)} groups from {source.name}; a group is a patient or an "
            "original picture, and intervals are over groups.",
            f"Groups: {counts_words(groups.truth)}. Pictures: {counts_words(results.truth)}.",
            f"Question: {head.name}, {head.flag_class} at or above {point:.4g}, locked when the model was made. A group is "
            "flagged where one picture reaches it.",
            left_open_fact(locked),
            model_fact(model, model_sha256),
        ],
        figures={level: _named(own, prefix) for level, own in figures.items()},
        calls=_calls(results, locked),
        confusions={own.name: confusion_of(found, own, head_slices(heads)[own.name]) for own in heads},
        subgroups={
            name: {word: _named(own, prefix) for word, own in words.items()}
            for name, words in subgroup_figures(results).items()
        },
        members=member_words(results, "pictures", "groups"),
        failed=judged.failed,
        plots=[
            Plot("ROC of pictures", "1 − specificity", "sensitivity", roc_points(truth, scores)),
            answered.plot("pictures"),
            reliability_plot(reliability, "picture scores"),
        ],
        reliability=reliability,
        errors=worst_pictures(
            judged.entries,
            results.truth,
            results.scores,
            results.flagged,
            judged.config,
            {row: entry.answers.get(head.name, "") for row, entry in enumerate(judged.entries)},
        ),
        curves={"risk_coverage": [{"coverage": x, "risk": y} for x, y in answered.curve]},
    )


def _named(figures: Figures, prefix: str) -> Figures:
    return {prefix + name: estimate for name, estimate in figures.items()}


def _results(judged: JudgedPictures, column: int) -> SlideResults:
    """Every picture as a slide of one tile; a target of ½ is nobody's truth."""
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


def _calls(results: SlideResults, locked: LeftOpen | None) -> Confusion:
    truths = ["unknown" if np.isnan(t) else "positive" if t > 0.5 else "negative" for t in results.truth]
    calls = [
        call_word(bool(flagged), locked is not None and locked.holds(float(score)))
        for flagged, score in zip(results.flagged, results.scores, strict=True)
    ]
    return dict(Counter(zip(truths, calls, strict=True)))
