"""Metrics of scored slides by level: patients, slides, regions, tiles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inkdot.evaluation.report import Metrics
from inkdot.evaluation.report_parts import prefixed
from inkdot.evaluation.sections.cell_count import CELLULARITY
from inkdot.evaluation.sections.rows import ScoredRows, scored_rows
from inkdot.evaluation.selective_prediction import SelectivePrediction, selective_prediction
from inkdot.evaluation.slide_results import SlideResult, patient_truths
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
from inkdot.metrics.slides.slide_level import IntArray, SlidePredictions, as_patients, slide_metrics
from inkdot.storage.models.model_files import ModelFile

_GROUPS = ("site", "scanner", "stain", "preparation")


@dataclass(frozen=True, slots=True)
class SlideLevels:
    """Scored slides at every level.

    Attributes:
        slides: One row per slide, in their order.
        patients: One row per patient.
        candidates: Number of candidates of each slide, shape [slides].
        candidate_unit: What candidates are, in plural.
        froc_data: Scores of lesions and of false positives.
        froc: Their curve: false positives per negative slide, sensitivity.
        reliability: Reliability of tile scores.
        selective: Calls of slides at all coverages.
        metrics: By level, without prefix.
    """

    slides: SlidePredictions
    patients: SlidePredictions
    candidates: IntArray
    candidate_unit: str
    froc_data: FrocData
    froc: Sequence[tuple[float, float]]
    reliability: list[ReliabilityBin]
    selective: SelectivePrediction
    metrics: Mapping[str, Metrics]

    @property
    def scored_patients(self) -> ScoredRows:
        """Patients with a truth and a score."""
        return scored_rows(self.patients, "patients")

    def named(self, prefix: str) -> dict[str, dict[str, Estimate]]:
        """The metrics by level with a prefix before each name."""
        return {level: prefixed(own, prefix) for level, own in self.metrics.items()}


def slide_levels(slides: Sequence[SlideResult], model: ModelFile) -> SlideLevels:
    """Compute the metrics of scored slides.

    Args:
        slides: The slides.
        model: The model.
    """
    head = flagging_head(model.head_records)
    counts, unit = np.array([slide.candidates for slide in slides], np.int64), _candidate_unit(slides)
    results = _results(slides, counts, unit)
    patients = as_patients(results, patient_truths([slide.entry for slide in slides], model.head_records))
    tiles, reliability = _tile_metrics(slides, model)
    rows, froc_data = scored_rows(results, "slides"), _froc_data(slides)
    selective = selective_prediction(
        rows.truth,
        rows.scores,
        rows.patients,
        model.operating_points[head.name].threshold,
        model.abstention.get(head.name),
    )
    return SlideLevels(
        slides=results,
        patients=patients,
        candidates=counts,
        candidate_unit=unit,
        froc_data=froc_data,
        froc=froc_points(froc_data),
        reliability=reliability,
        selective=selective,
        metrics={
            "Patients": slide_metrics(patients, ks=()),
            "Slides": slide_metrics(results) | selective.metrics,
            "Regions": froc_estimates(froc_data),
            "Tiles": tiles,
        },
    )


def _candidate_unit(slides: Sequence[SlideResult]) -> str:
    return "tiles" if any(slide.clusters is None and slide.candidates for slide in slides) else "clusters"


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
