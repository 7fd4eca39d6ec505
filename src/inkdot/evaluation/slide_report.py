"""The evaluation report of scored slides: patients and slides first."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from inkdot.datasets.reader_agreement import reader_metrics
from inkdot.evaluation.report import EvaluationReport, Metrics, Plot
from inkdot.evaluation.report_parts import (
    cohort_warnings,
    counts_text,
    metric_prefix,
    model_facts,
    prefixed,
    prefixed_subgroups,
    reliability_plot,
    roc_plot,
    spread_facts,
    subgroup_sizes,
    trained_on_warnings,
)
from inkdot.evaluation.selective_prediction import call_name, selective_prediction
from inkdot.evaluation.slide_results import SlideResult, patient_truths
from inkdot.evaluation.worst_errors import worst_slides
from inkdot.labels import flagging_head, target_columns
from inkdot.metrics.classification import BoolArray, FloatArray, expected_calibration_error
from inkdot.metrics.curves import ReliabilityBin, reliability_bins, roc_points
from inkdot.metrics.intervals.confidence_intervals import (
    Estimate,
    auc_estimate,
    bootstrap_estimate,
    sensitivity_specificity,
)
from inkdot.metrics.slides.froc import FALSE_POSITIVES_PER_SLIDE, FrocData, froc_estimates, froc_points
from inkdot.metrics.slides.slide_level import (
    NameArray,
    SlidePredictions,
    as_patients,
    slide_metrics,
)
from inkdot.pipeline.results.warnings import group_warnings
from inkdot.pipeline.scoring.score_slide import SYNTHETIC_MODEL_WARNING
from inkdot.storage.models.model_files import ModelFile

Points = Sequence[tuple[float, float]]

_GROUPS = ("site", "scanner", "stain", "preparation")
_REPORTED_ELSEWHERE = (SYNTHETIC_MODEL_WARNING, "synthetic model on a synthetic slide")


def slide_report(
    slides: Sequence[SlideResult],
    failed: Mapping[str, str],
    model: ModelFile,
    model_sha256: str,
    source: Path,
    notes: Sequence[str],
) -> EvaluationReport:
    """The report on labelled slides.

    Args:
        slides: The slides that could be scored.
        failed: Reason of each of the others.
        model: The model.
        model_sha256: Its hash.
        source: The manifest.
        notes: Further warnings.
    """
    head = flagging_head(model.head_records)
    results = _results(slides)
    patients = as_patients(results, patient_truths([slide.entry for slide in slides], model.head_records))
    tiles, reliability = _tile_metrics(slides, model)
    prefix = metric_prefix(model)
    truth, scores, owners = _scored(results)
    froc_data = _froc_data(slides)
    froc = froc_points(froc_data)
    threshold, band = model.operating_points[head.name].threshold, model.abstention.get(head.name)
    selective = selective_prediction(truth, scores, owners, threshold, band)
    metrics = {
        "Patients": slide_metrics(patients, ks=()),
        "Slides": slide_metrics(results) | selective.metrics,
        "Regions": froc_estimates(froc_data),
        "Tiles": tiles,
    }
    return EvaluationReport(
        title="Evaluation report",
        unit="slide",
        warnings=[
            *cohort_warnings(model, sum(not slide.entry.patient_id for slide in slides)),
            *trained_on_warnings(model, [slide.slide_fingerprint for slide in slides], "slides"),
            *notes,
            *slide_warnings(slides),
        ],
        facts=[
            *_cohort_facts(results, patients, source),
            *model_facts(model, model_sha256),
            *spread_facts([slide.spread for slide in slides if slide.spread is not None], "slides"),
        ],
        metrics={level: prefixed(own, prefix) for level, own in metrics.items()} | _readers(slides, model),
        calls=_calls(slides),
        subgroups=prefixed_subgroups(results, prefix),
        subgroup_sizes=subgroup_sizes(results, "slides", "patients"),
        failed=failed,
        plots=[
            *_slide_plots(roc_points(truth, scores), froc),
            selective.plot("slides"),
            reliability_plot(reliability, "tile scores"),
        ],
        reliability=reliability,
        worst_errors=worst_slides(slides),
        curves={
            "froc": [{"false_positives_per_slide": x, "sensitivity": y} for x, y in froc],
            "risk_coverage": [{"coverage": x, "risk": y} for x, y in selective.curve],
        },
    )


def _cohort_facts(slides: SlidePredictions, patients: SlidePredictions, source: Path) -> list[str]:
    return [
        f"{len(slides.patients)} slides of {len(patients.patients)} patients from {source.name}; truth is known for "
        f"{int((~np.isnan(slides.truth)).sum())} slides.",
        f"Patients: {counts_text(patients.truth)}. Slides: {counts_text(slides.truth)}.",
    ]


def _scored(results: SlidePredictions) -> tuple[BoolArray, FloatArray, NameArray]:
    """Truth, score and patient of the slides that have both a truth and a score."""
    rows = ~np.isnan(results.truth) & ~np.isnan(results.scores)
    return results.truth[rows] > 0.5, results.scores[rows], results.patients[rows]


def _readers(slides: Sequence[SlideResult], model: ModelFile) -> dict[str, Metrics]:
    """Agreement of the readers, whose metrics have no prefix: people are not part of a self-test."""
    metrics = reader_metrics(
        [label for slide in slides for label in slide.lesions.labels], model.head_records
    )
    return {"Readers": metrics} if metrics else {}


def _slide_plots(roc: Points, froc: Points) -> list[Plot]:
    return [
        roc_plot("slides", roc),
        Plot(
            "FROC of the regions shown",
            "false positives per negative slide",
            "share of marked regions found",
            froc,
            x_max=FALSE_POSITIVES_PER_SLIDE[-1],
            diagonal=False,
        ),
    ]


def _froc_data(slides: Sequence[SlideResult]) -> FrocData:
    lesions = [slide.lesions.lesion_scores for slide in slides]
    false_positives = [slide.lesions.false_positive_scores for slide in slides]
    names = np.array([slide.patient for slide in slides])
    return FrocData(
        lesion_scores=np.concatenate(lesions),
        lesion_patients=np.repeat(names, [len(own) for own in lesions]),
        false_positive_scores=np.concatenate(false_positives),
        false_positive_patients=np.repeat(names, [len(own) for own in false_positives]),
        negative_patients=names[np.array([slide.truth is False for slide in slides])],
    )


def slide_warnings(slides: Sequence[SlideResult]) -> list[str]:
    """Warnings that `predict` gives for single slides, similar ones grouped."""
    found = [
        (slide.entry.slide_id, warning)
        for slide in slides
        for warning in slide.warnings
        if not warning.startswith(_REPORTED_ELSEWHERE)
    ]
    return [f"{line}." for line in group_warnings(found, len(slides))]


def _results(slides: Sequence[SlideResult]) -> SlidePredictions:
    return SlidePredictions(
        patients=np.array([slide.patient for slide in slides]),
        truth=np.array([np.nan if slide.truth is None else float(slide.truth) for slide in slides]),
        scores=np.array([np.nan if slide.score is None else slide.score for slide in slides]),
        flagged=np.array([slide.flagged for slide in slides], np.bool_),
        hit_ranks=np.array([slide.hit_rank for slide in slides]),
        groups={
            name: np.array([str(getattr(slide.entry, name) or "") for slide in slides]) for name in _GROUPS
        },
    )


def _tile_metrics(
    slides: Sequence[SlideResult], model: ModelFile
) -> tuple[dict[str, Estimate], list[ReliabilityBin]]:
    """Metrics of the flagging head on labelled tiles, and the reliability of its score."""
    head = flagging_head(model.head_records)
    column = target_columns(model.head_records).index(f"target.{head.name}.{head.flag_class}")
    targets = np.concatenate([slide.targets[:, column] for slide in slides])
    scores = np.concatenate([slide.scores[:, column] for slide in slides])
    flagged = np.concatenate([slide.flagged_tiles for slide in slides])
    owners = np.repeat(
        np.array([slide.patient for slide in slides]), [len(slide.targets) for slide in slides]
    )
    rows = np.flatnonzero(~np.isnan(targets) & (targets != 0.5))
    truth, score, called, patients = targets[rows] > 0.5, scores[rows], flagged[rows], owners[rows]
    pair = np.stack([1.0 - score, score], axis=1)
    found = {
        "auc": auc_estimate(truth, score, patients),
        **sensitivity_specificity(truth, called, patients),
        "calibration_error": bootstrap_estimate(
            lambda weights: expected_calibration_error(np.eye(2)[truth.astype(np.int64)], pair, weights),
            patients,
        ),
    }
    metrics = {name: estimate for name, estimate in found.items() if estimate is not None}
    return metrics, reliability_bins(truth, score.astype(np.float64), patients)


def evaluated_slides_text(slides: Sequence[SlideResult]) -> str:
    """CSV text with the truth, score and call of every slide, for `inkdot compare`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["slide_id", "patient_id", "truth", "score", "spread", "flagged", "call"])
    for slide in slides:
        score = "" if slide.score is None else f"{slide.score:.6f}"
        spread = "" if slide.spread is None else f"{slide.spread:.6f}"
        truth, call = _truth_and_call(slide)
        writer.writerow([slide.entry.slide_id, slide.patient, truth, score, spread, int(slide.flagged), call])
    return buffer.getvalue()


def _calls(slides: Sequence[SlideResult]) -> dict[tuple[str, str], int]:
    return dict(Counter(_truth_and_call(slide) for slide in slides))


def _truth_and_call(slide: SlideResult) -> tuple[str, str]:
    truths = {True: "positive", False: "negative", None: "unknown"}
    call = "inadequate" if slide.score is None else call_name(slide.flagged, slide.abstained)
    return truths[slide.truth], call
