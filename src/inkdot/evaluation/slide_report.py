"""The evaluation report of scored slides: patients and slides first."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from inkdot.datasets.reader_agreement import reader_metrics
from inkdot.evaluation.report import EvaluationReport, Metrics, Section
from inkdot.evaluation.report_parts import (
    SCORES_NOTE,
    cohort_warnings,
    counts_text,
    metric_prefix,
    model_facts,
    operating_point_json,
    prefixed,
    prefixed_subgroups,
    reliability_plot,
    scores_section,
    spread_facts,
    subgroup_sizes,
    subgroups_section,
    trained_on_warnings,
)
from inkdot.evaluation.sections.benefit import benefit_section
from inkdot.evaluation.sections.cell_count import CELLULARITY, cell_count_section, cluster_metrics
from inkdot.evaluation.sections.further_heads import further_heads_section
from inkdot.evaluation.sections.heads_of_slides import slide_heads
from inkdot.evaluation.sections.misses import regions_section
from inkdot.evaluation.sections.predictive import threshold_section
from inkdot.evaluation.sections.ranking import curve_rows, ranking_curves, ranking_section
from inkdot.evaluation.sections.rows import counts_of, scored_rows
from inkdot.evaluation.selective_prediction import call_name, selective_prediction
from inkdot.evaluation.slide_results import SlideResult, patient_truths
from inkdot.evaluation.worst_errors import worst_slides
from inkdot.labels import flagging_head, target_columns
from inkdot.metrics.classification import expected_calibration_error
from inkdot.metrics.curves import ReliabilityBin, reliability_bins
from inkdot.metrics.intervals.confidence_intervals import (
    Estimate,
    auc_estimate,
    bootstrap_estimate,
    sensitivity_specificity,
)
from inkdot.metrics.slides.cellularity import tertiles
from inkdot.metrics.slides.froc import FrocData, froc_estimates, froc_points
from inkdot.metrics.slides.slide_level import (
    IntArray,
    SlidePredictions,
    as_patients,
    slide_metrics,
)
from inkdot.pipeline.results.warnings import group_warnings
from inkdot.pipeline.scoring.score_slide import SYNTHETIC_MODEL_WARNING
from inkdot.storage.models.model_files import ModelFile

_GROUPS = ("site", "scanner", "stain", "preparation")
_REPORTED_ELSEWHERE = (SYNTHETIC_MODEL_WARNING, "synthetic model on a synthetic slide")


def slide_report(
    slides: Sequence[SlideResult],
    failed: Mapping[str, str],
    model: ModelFile,
    model_sha256: str,
    source: Path,
    notes: Sequence[str],
    prevalences: Sequence[float] = (),
) -> EvaluationReport:
    """The report on labelled slides.

    Args:
        slides: The slides that could be scored.
        failed: Reason of each of the others.
        model: The model.
        model_sha256: Its hash.
        source: The manifest.
        notes: Further warnings.
        prevalences: At which predictive values are given, each of more than 0 and less than 1.
    """
    head, prefix = flagging_head(model.head_records), metric_prefix(model)
    threshold, band = model.operating_points[head.name].threshold, model.abstention.get(head.name)
    counts, unit = np.array([slide.candidates for slide in slides], np.int64), _candidate_unit(slides)
    results = _results(slides, counts, unit)
    patients = as_patients(results, patient_truths([slide.entry for slide in slides], model.head_records))
    tiles, reliability = _tile_metrics(slides, model)
    of_slides, of_patients = scored_rows(results, "slides"), scored_rows(patients, "patients")
    froc_data = _froc_data(slides)
    froc = froc_points(froc_data)
    selective = selective_prediction(of_slides.truth, of_slides.scores, of_slides.patients, threshold, band)
    patient_metrics = slide_metrics(patients, ks=())
    metrics = {
        "Patients": patient_metrics,
        "Slides": slide_metrics(results) | selective.metrics,
        "Regions": froc_estimates(froc_data),
        "Tiles": tiles,
    }
    named = {level: prefixed(own, prefix) for level, own in metrics.items()}
    subgroups, sizes = _subgroups(slides, results, prefix)
    threshold_part, predictive = threshold_section(
        counts_of(patients), _calls(slides), prevalences,
        threshold=threshold, patients="patients", unit="slides", prefix=prefix,
    )  # fmt: skip
    benefit, decision_curves = benefit_section(of_patients, threshold, patient_metrics, prevalences, prefix)
    regions, misses = regions_section(slides, head, threshold, (froc_data, froc), named["Regions"], prefix)
    count_part, count_warning, cell_count = cell_count_section(
        results, counts, unit, subgroups.get(CELLULARITY, {}), sizes.get(CELLULARITY, {}), prefix
    )
    heads_part, further_heads = further_heads_section(slide_heads(slides, model), prefix)
    readers = _readers(slides, model)
    sections = [
        ranking_section(
            of_patients, threshold, {level: named[level] for level in ("Patients", "Slides")}, _ranking_notes(named)
        ),
        threshold_part,
        benefit,
        regions,
        count_part,
        heads_part,
        scores_section(
            [reliability_plot(reliability, "tile scores"), selective.plot("slides")],
            {"Tiles": named["Tiles"]},
            [SCORES_NOTE, "Tiles: those with a label of their own; too optimistic for slides and patients."],
        ),
        _readers_section(readers),
        subgroups_section(
            {column: own for column, own in subgroups.items() if column != CELLULARITY}, sizes, prefix
        ),
    ]  # fmt: skip
    return EvaluationReport(
        title="Evaluation report",
        unit="slide",
        warnings=[
            *cohort_warnings(model, sum(not slide.entry.patient_id for slide in slides)),
            *trained_on_warnings(model, [slide.slide_fingerprint for slide in slides], "slides"),
            *([count_warning] if count_warning else []),
            *notes,
            *slide_warnings(slides),
        ],
        facts=[
            *_cohort_facts(results, patients, source),
            *model_facts(model, model_sha256),
            *spread_facts([slide.spread for slide in slides if slide.spread is not None], "slides"),
        ],
        metrics=named | readers,
        calls=_calls(slides),
        subgroups=subgroups,
        subgroup_sizes=sizes,
        failed=failed,
        sections=[own for own in sections if own is not None],
        reliability=reliability,
        worst_errors=worst_slides(slides),
        curves={
            "froc": curve_rows(froc, "false_positives_per_slide", "sensitivity"),
            "risk_coverage": curve_rows(selective.curve, "coverage", "risk"),
            **ranking_curves(of_patients),
            **decision_curves,
        },
        details={
            "operating_point": operating_point_json(model),
            "predictive_values": predictive,
            "cell_count": cell_count,
            "misses": misses,
            "further_heads": further_heads,
        },
    )


def _ranking_notes(metrics: Mapping[str, Metrics]) -> list[str]:
    notes = ["A patient is flagged where any slide is; the score is that of the highest slide."]
    if "hit@" in " ".join(metrics["Slides"]):
        notes.append(
            "hit@k: share of the slides with marked regions that show one of them among the first k regions."
        )
    return notes


def _readers_section(readers: Mapping[str, Metrics]) -> Section | None:
    if not readers:
        return None
    return Section(
        anchor="readers",
        question="How far do readers agree?",
        notes=[
            "Beyond chance, Fleiss' kappa: 1 is full agreement, 0 is chance. No model can be expected to do better."
        ],
        metrics=readers,
    )


def _candidate_unit(slides: Sequence[SlideResult]) -> str:
    return "tiles" if any(slide.clusters is None and slide.candidates for slide in slides) else "clusters"


def _subgroups(
    slides: Sequence[SlideResult], results: SlidePredictions, prefix: str
) -> tuple[dict[str, Mapping[str, Metrics]], dict[str, Mapping[str, str]]]:
    """Metrics and sizes of subgroups of slides, and of single cells against clusters."""
    subgroups: dict[str, Mapping[str, Metrics]] = {**prefixed_subgroups(results, prefix)}
    sizes: dict[str, Mapping[str, str]] = {**subgroup_sizes(results, "slides", "patients")}
    of_clusters, numbers = cluster_metrics(
        [(slide.patient, slide.clusters) for slide in slides if slide.clusters is not None]
    )
    if of_clusters:
        subgroups["nuclei"] = {name: prefixed(own, prefix) for name, own in of_clusters.items()}
        sizes["nuclei"] = numbers
    return subgroups, sizes


def _cohort_facts(slides: SlidePredictions, patients: SlidePredictions, source: Path) -> list[str]:
    return [
        f"{len(slides.patients)} slides of {len(patients.patients)} patients from {source.name}; truth is known for "
        f"{int((~np.isnan(slides.truth)).sum())} slides.",
        f"Patients: {counts_text(patients.truth)}. Slides: {counts_text(slides.truth)}.",
    ]


def _readers(slides: Sequence[SlideResult], model: ModelFile) -> dict[str, Metrics]:
    """Agreement of the readers, whose metrics have no prefix: people are not part of a self-test."""
    metrics = reader_metrics(
        [label for slide in slides for label in slide.lesions.labels], model.head_records
    )
    return {"Readers": metrics} if metrics else {}


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


def _results(slides: Sequence[SlideResult], counts: IntArray, unit: str) -> SlidePredictions:
    return SlidePredictions(
        patients=np.array([slide.patient for slide in slides]),
        truth=np.array([np.nan if slide.truth is None else float(slide.truth) for slide in slides]),
        scores=np.array([np.nan if slide.score is None else slide.score for slide in slides]),
        flagged=np.array([slide.flagged for slide in slides], np.bool_),
        hit_ranks=np.array([slide.hit_rank for slide in slides]),
        groups={
            name: np.array([str(getattr(slide.entry, name) or "") for slide in slides]) for name in _GROUPS
        }
        | {CELLULARITY: tertiles(counts, unit)},
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
