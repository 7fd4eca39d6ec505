"""Scored slides to the report of an evaluation: patients and slides first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from inkdot.datasets.reader_agreement import reader_metrics
from inkdot.evaluation.report import EvaluationReport, Metrics, Plot
from inkdot.evaluation.selective_prediction import abstention_fact, answering, call_word
from inkdot.evaluation.slide_results import SlideResult, patient_truths
from inkdot.evaluation.worst_errors import worst_slides
from inkdot.labels import flagging_head, target_columns
from inkdot.metrics.classification import BoolArray, FloatArray, expected_calibration_error
from inkdot.metrics.confidence_intervals import Estimate, auc_estimate, bootstrap_estimate, share_estimate
from inkdot.metrics.curves import ReliabilityRow, reliability_rows, roc_points
from inkdot.metrics.froc import ALARMS_PER_SLIDE, FreeResponse, froc_estimates, froc_points
from inkdot.metrics.slide_level import (
    NOT_STATED,
    NameArray,
    SlideResults,
    as_patients,
    slide_metrics,
    subgroup_metrics,
)
from inkdot.pipeline.score_slide import SYNTHETIC_MODEL_WARNING
from inkdot.pipeline.warnings import lines_by_kind
from inkdot.storage.model_files import ModelFile

Points = Sequence[tuple[float, float]]

_GROUPS = ("site", "scanner", "stain", "preparation")
_SAID_ALREADY = (SYNTHETIC_MODEL_WARNING, "synthetic model on a synthetic slide")
SYNTHETIC_WARNING = (
    "SYNTHETIC: the model was trained on painted specimens. These metrics test the program, not its use."
)


def slide_report(
    judged: Sequence[SlideResult],
    failed: Mapping[str, str],
    model: ModelFile,
    model_sha256: str,
    source: Path,
    notes: Sequence[str],
) -> EvaluationReport:
    """The report on labelled slides.

    Args:
        judged: Those that could be scored.
        failed: Reason of each of the others.
        model: What judged them.
        model_sha256: Hash that stands for it.
        source: The manifest.
        notes: Further warnings.
    """
    head = flagging_head(model.head_records)
    results = _results(judged)
    patients = as_patients(results, patient_truths([slide.entry for slide in judged], model.head_records))
    tiles, reliability = _tile_metrics(judged, model)
    prefix = metric_prefix(model)
    threshold = model.operating_points[head.name].threshold
    truth, scores, owners = _scored(results)
    marks = _free_response(judged)
    locked = model.abstention.get(head.name)
    froc, labelled = froc_points(marks), answering(truth, scores, owners, threshold, locked)
    metrics = {
        "Patients": slide_metrics(patients, ks=()),
        "Slides": slide_metrics(results) | labelled.metrics,
        "Regions": froc_estimates(marks),
        "Tiles": tiles,
    }
    readers = reader_metrics([label for slide in judged for label in slide.marks.labels], model.head_records)
    return EvaluationReport(
        title="How good the model is",
        unit="slide",
        warnings=[
            *warnings_of(model, sum(not slide.entry.patient_id for slide in judged)),
            *notes,
            *slide_warnings(judged),
        ],
        facts=[
            f"{len(judged)} slides of {len(patients.patients)} patients from {source.name}; truth is known for "
            f"{int((~np.isnan(results.truth)).sum())} slides.",
            f"Patients: {counts_words(patients.truth)}. Slides: {counts_words(results.truth)}.",
            f"Head: {head.name}, {head.flag_class} at or above {threshold:.4g}, locked when the model was made.",
            abstention_fact(locked),
            model_fact(model, model_sha256),
        ],
        # People are not part of a self-test.
        metrics={level: _named(own, prefix) for level, own in metrics.items()}
        | ({"Readers": readers} if readers else {}),
        calls=_calls(judged),
        subgroups={
            column: {word: _named(own, prefix) for word, own in words.items()}
            for column, words in subgroup_metrics(results).items()
        },
        members=member_words(results, "slides", "patients"),
        failed=failed,
        plots=[
            *_slide_plots(roc_points(truth, scores), froc),
            labelled.plot("slides"),
            reliability_plot(reliability, "tile scores"),
        ],
        reliability=reliability,
        errors=worst_slides(judged),
        curves={
            "froc": [{"alarms_per_slide": x, "sensitivity": y} for x, y in froc],
            "risk_coverage": [{"coverage": x, "risk": y} for x, y in labelled.curve],
        },
    )


def _scored(results: SlideResults) -> tuple[BoolArray, FloatArray, NameArray]:
    """Truth, score and patient of the slides that have both a truth and a score."""
    rows = ~np.isnan(results.truth) & ~np.isnan(results.scores)
    return results.truth[rows] > 0.5, results.scores[rows], results.patients[rows]


def _slide_plots(roc: Points, froc: Points) -> list[Plot]:
    return [
        Plot("ROC of slides", "1 − specificity", "sensitivity", roc),
        Plot(
            "FROC of the regions shown",
            "false alarms per negative slide",
            "share of marked regions found",
            froc,
            x_end=ALARMS_PER_SLIDE[-1],
            diagonal=False,
        ),
    ]


def _free_response(judged: Sequence[SlideResult]) -> FreeResponse:
    lesions = [slide.marks.lesion_scores for slide in judged]
    alarms = [slide.marks.alarm_scores for slide in judged]
    names = np.array([slide.patient for slide in judged])
    return FreeResponse(
        lesion_scores=np.concatenate(lesions),
        lesion_patients=np.repeat(names, [len(own) for own in lesions]),
        alarm_scores=np.concatenate(alarms),
        alarm_patients=np.repeat(names, [len(own) for own in alarms]),
        negative_patients=names[np.array([slide.truth is False for slide in judged])],
    )


def metric_prefix(model: ModelFile) -> str:
    """Put before the names of metrics: those of a model of synthetic specimens are a self-test."""
    return "selftest_" if model.trained_on.synthetic else ""


def warnings_of(model: ModelFile, nameless: int) -> list[str]:
    """What must be said first.

    Args:
        model: What judged.
        nameless: Slides without a patient.
    """
    warnings = [SYNTHETIC_WARNING] if model.trained_on.synthetic else []
    if nameless:
        warnings.append(f"{nameless} slides have no patient_id; each was taken for a patient of its own.")
    return warnings


def slide_warnings(judged: Sequence[SlideResult]) -> list[str]:
    """What `predict` would say of single slides, once for all that it says much the same of."""
    said = [
        (slide.entry.slide_id, warning)
        for slide in judged
        for warning in slide.warnings
        if not warning.startswith(_SAID_ALREADY)
    ]
    return [f"{line}." for line in lines_by_kind(said, len(judged))]


def model_fact(model: ModelFile, model_sha256: str) -> str:
    """Which model it is, and what nobody can tell from it."""
    return (
        f"Model {model_sha256[:16]}, {model.backbone}. Whether it learned from these patients cannot be told from the "
        "model: keep test patients apart with a column split."
    )


def reliability_plot(rows: Sequence[ReliabilityRow], what: str) -> Plot:
    """The reliability diagram."""
    return Plot(
        f"Reliability of {what}, with 95 % intervals: on the dashed line a score is what it says",
        "mean score",
        "share truly positive",
        [(row.score, row.share.value) for row in rows],
        bars=[(row.score, row.share.low, row.share.high) for row in rows],
    )


def counts_words(truth: FloatArray) -> str:
    """How many are positive (1), negative (0) and unknown (NaN)."""
    positive, unknown = int((truth > 0.5).sum()), int(np.isnan(truth).sum())
    words = f"{positive} positive, {len(truth) - positive - unknown} negative"
    return f"{words}, {unknown} unknown" if unknown else words


def member_words(results: SlideResults, units: str, owners: str) -> dict[str, dict[str, str]]:
    """How many units and patients each subgroup has, by column and word."""
    found: dict[str, dict[str, str]] = {}
    for column, words in results.groups.items():
        for word in sorted(set(words.tolist())):
            own = results.of(words == word)
            members = f"{len(own.truth)} {units} of {len(np.unique(own.patients))} {owners}: {counts_words(own.truth)}."
            found.setdefault(column, {})[word or NOT_STATED] = members
    return found


def _named(metrics: Metrics, prefix: str) -> dict[str, Estimate]:
    return {prefix + name: estimate for name, estimate in metrics.items()}


def _results(judged: Sequence[SlideResult]) -> SlideResults:
    return SlideResults(
        patients=np.array([slide.patient for slide in judged]),
        truth=np.array([np.nan if slide.truth is None else float(slide.truth) for slide in judged]),
        scores=np.array([np.nan if slide.score is None else slide.score for slide in judged]),
        flagged=np.array([slide.flagged for slide in judged], np.bool_),
        hit_ranks=np.array([slide.hit_rank for slide in judged]),
        groups={
            name: np.array([str(getattr(slide.entry, name) or "") for slide in judged]) for name in _GROUPS
        },
    )


def _tile_metrics(
    judged: Sequence[SlideResult], model: ModelFile
) -> tuple[dict[str, Estimate], list[ReliabilityRow]]:
    """Metrics of the flagging head on labelled tiles, and the reliability of its score."""
    head = flagging_head(model.head_records)
    column = target_columns(model.head_records).index(f"target.{head.name}.{head.flag_class}")
    targets = np.concatenate([slide.targets[:, column] for slide in judged])
    scores = np.concatenate([slide.scores[:, column] for slide in judged])
    flagged = np.concatenate([slide.flagged_tiles for slide in judged])
    owners = np.repeat(
        np.array([slide.patient for slide in judged]), [len(slide.targets) for slide in judged]
    )
    rows = np.flatnonzero(~np.isnan(targets) & (targets != 0.5))
    truth, score, called, patients = targets[rows] > 0.5, scores[rows], flagged[rows], owners[rows]
    pair = np.stack([1.0 - score, score], axis=1)
    found = {
        "auc": auc_estimate(truth, score, patients),
        "sensitivity": share_estimate(called[truth], patients[truth]),
        "specificity": share_estimate(~called[~truth], patients[~truth]),
        "calibration_error": bootstrap_estimate(
            lambda weights: expected_calibration_error(np.eye(2)[truth.astype(np.int64)], pair, weights),
            patients,
        ),
    }
    metrics = {name: estimate for name, estimate in found.items() if estimate is not None}
    return metrics, reliability_rows(truth, score.astype(np.float64), patients)


def _calls(judged: Sequence[SlideResult]) -> dict[tuple[str, str], int]:
    truths = {True: "positive", False: "negative", None: "unknown"}
    return dict(
        Counter(
            (
                truths[slide.truth],
                "inadequate" if slide.score is None else call_word(slide.flagged, slide.abstained),
            )
            for slide in judged
        )
    )
