"""The evaluation report of scored images: groups (patients, or original images) first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inkdot.datasets.image_cache import hashes_of
from inkdot.evaluation.head_metrics import decided_rows
from inkdot.evaluation.images.results import ImageResults, sites_of
from inkdot.evaluation.oof_metrics import confusion_matrix, cross_validation_metrics
from inkdot.evaluation.report import Confusion, Curve, EvaluationReport, Section
from inkdot.evaluation.report_parts import (
    SCORES_NOTE,
    cohort_warnings,
    counts_text,
    matrix_table,
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
from inkdot.evaluation.sections.further_heads import (
    HeadResult,
    HeadRows,
    as_patient_rows,
    further_heads_section,
    head_result,
)
from inkdot.evaluation.sections.predictive import threshold_section
from inkdot.evaluation.sections.ranking import curve_rows, ranking_curves, ranking_section
from inkdot.evaluation.sections.rows import counts_of, scored_rows
from inkdot.evaluation.selective_prediction import SelectivePrediction, call_name, selective_prediction
from inkdot.evaluation.worst_errors import worst_images
from inkdot.labels import Head, flag_column, flagging_head, head_slices
from inkdot.metrics.curves import ReliabilityBin, reliability_bins
from inkdot.metrics.decision.calls import call_threshold
from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.metrics.slides.slide_level import (
    NO_KNOWN_REGION,
    SlidePredictions,
    as_patients,
    slide_metrics,
)
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.models.model_records import AbstentionBand


def image_report(
    images: ImageResults,
    model: ModelFile,
    model_sha256: str,
    source: Path,
    notes: Sequence[str],
    prevalences: Sequence[float] = (),
) -> EvaluationReport:
    """The report on labelled images, with the metrics that slides have where they make sense.

    Args:
        images: The scored images.
        model: The model.
        model_sha256: Its hash.
        source: The table.
        notes: Further warnings.
        prevalences: At which predictive values are given, each of more than 0 and less than 1.
    """
    heads, predictions = model.head_records, images.predictions
    head, column, slices = flagging_head(heads), flag_column(heads), head_slices(heads)
    results, prefix = _results(images, column), metric_prefix(model)
    levels = _levels(images, model, results)
    confusions = {own.name: confusion_matrix(predictions, own, slices[own.name]) for own in heads}
    subgroups, sizes = prefixed_subgroups(results, prefix), subgroup_sizes(results, "images", "groups")
    calls = _calls(results, model.abstention.get(head.name))
    sections, curves, details = _parts(images, model, levels, calls, prevalences)
    sections += [_likeliest_section(confusions), subgroups_section(subgroups, sizes, prefix)]
    return EvaluationReport(
        title="Evaluation report",
        unit="image",
        warnings=[
            *cohort_warnings(model, 0),
            *trained_on_warnings(model, list(hashes_of(images.entries).values()), "images"),
            *notes,
        ],
        facts=[
            f"{len(images.entries)} images of {len(levels.groups.patients)} groups from {source.name}; a group is a patient or "
            "an original image, and intervals are over groups.",
            f"Groups: {counts_text(levels.groups.truth)}. Images: {counts_text(results.truth)}.",
            *model_facts(model, model_sha256, " A group is flagged where one image reaches it."),
            *spread_facts([] if images.spread is None else images.spread.tolist(), "images"),
        ],
        metrics={level: prefixed(own, prefix) for level, own in levels.metrics.items()},
        calls=calls,
        confusions=confusions,
        subgroups=subgroups,
        subgroup_sizes=sizes,
        failed=images.failed,
        sections=[own for own in sections if own is not None],
        reliability=levels.reliability,
        worst_errors=worst_images(
            images.entries,
            results.truth,
            results.scores,
            results.flagged,
            images.tiling,
            images.columns,
            {row: entry.labels.get(head.name, "") for row, entry in enumerate(images.entries)},
        ),
        curves=curves,
        details=details,
    )


class _Levels(NamedTuple):
    """Scored images and their groups."""

    groups: SlidePredictions
    reliability: list[ReliabilityBin]
    selective: SelectivePrediction
    metrics: dict[str, dict[str, Estimate]]


def _levels(images: ImageResults, model: ModelFile, results: SlidePredictions) -> _Levels:
    heads, predictions = model.head_records, images.predictions
    head, column = flagging_head(heads), flag_column(heads)
    rows, truth = decided_rows(predictions.targets, column)
    scores, patients = predictions.scores[rows, column].astype(np.float64), predictions.patients[rows]
    threshold, band = model.operating_points[head.name].threshold, model.abstention.get(head.name)
    selective = selective_prediction(truth, scores, patients, threshold, band)
    of_images = cross_validation_metrics(predictions, heads, seed=0)
    if model.members:  # each member has its own temperatures: there are no scores of the ensemble before them
        of_images = {
            name: own for name, own in of_images.items() if not name.startswith("calibration_error_before.")
        }
    groups = as_patients(results, {})
    metrics = {"Groups": slide_metrics(groups, ks=()), "Images": of_images | selective.metrics}
    return _Levels(groups, reliability_bins(truth, scores, patients), selective, metrics)


def _parts(
    images: ImageResults, model: ModelFile, levels: _Levels, calls: Confusion, prevalences: Sequence[float]
) -> tuple[list[Section | None], dict[str, Curve], dict[str, object]]:
    """Sections, with the curves and further keys of the JSON file."""
    prefix, groups = metric_prefix(model), scored_rows(levels.groups, "groups")
    threshold = model.operating_points[flagging_head(model.head_records).name].threshold
    named = {level: prefixed(own, prefix) for level, own in levels.metrics.items()}
    of_threshold, predictive = threshold_section(
        counts_of(levels.groups), calls, prevalences,
        threshold=threshold, patients="groups", unit="images", prefix=prefix,
    )  # fmt: skip
    benefit, decision_curves = benefit_section(
        groups, threshold, levels.metrics["Groups"], prevalences, prefix
    )
    of_heads, further_heads = further_heads_section(_further_heads(images, model), prefix)
    plots = [reliability_plot(levels.reliability, "image scores"), levels.selective.plot("images")]
    sections = [
        ranking_section(groups, threshold, named, [_GROUPS_NOTE]),
        of_threshold,
        benefit,
        of_heads,
        scores_section(plots, {}, [SCORES_NOTE]),
    ]
    curves: dict[str, Curve] = {
        "risk_coverage": curve_rows(levels.selective.curve, "coverage", "risk"),
        **ranking_curves(groups),
        **decision_curves,
    }
    details: dict[str, object] = {
        "operating_point": operating_point_json(model),
        "predictive_values": predictive,
        "further_heads": further_heads,
    }
    return sections, curves, details


_GROUPS_NOTE = "A group is flagged where any image is; the score is that of the highest image."


def _likeliest_section(confusions: Mapping[str, Confusion]) -> Section | None:
    tables = [
        matrix_table(counts, f"{name}: likeliest class of images", "truth \\ likeliest class")
        for name, counts in confusions.items()
        if counts
    ]
    if not tables:
        return None
    return Section(anchor="classes", question="Which classes are confused?", tables=tables)


def _further_heads(images: ImageResults, model: ModelFile) -> list[tuple[Head, dict[str, HeadResult]]]:
    """Every head without a flag class, on images and on groups."""
    heads, predictions = model.head_records, images.predictions
    found: list[tuple[Head, dict[str, HeadResult]]] = []
    for head in heads:
        if head.name == flagging_head(heads).name:
            continue
        own = head_slices(heads)[head.name]
        of_images = HeadRows(
            targets=predictions.targets[:, own].astype(np.float64),
            scores=predictions.scores[:, own].astype(np.float64),
            flagged=None,
            patients=predictions.patients,
        )
        rows = {"images": of_images, "groups": as_patient_rows(of_images, {})}
        threshold = call_threshold(model.abstention, head)
        results = {level: head_result(head, level_rows, threshold) for level, level_rows in rows.items()}
        found.append((head, {level: result for level, result in results.items() if result is not None}))
    return found


def _results(images: ImageResults, column: int) -> SlidePredictions:
    """Every image as a slide of one tile; a target of ½ counts as unknown."""
    predictions = images.predictions
    own = predictions.targets[:, column].astype(np.float64)
    return SlidePredictions(
        patients=predictions.patients,
        truth=np.where(own == 0.5, np.nan, own),
        scores=predictions.scores[:, column].astype(np.float64),
        flagged=predictions.flagged,
        hit_ranks=np.full(len(own), NO_KNOWN_REGION),
        groups={"site": sites_of(images)},
    )


def _calls(results: SlidePredictions, band: AbstentionBand | None) -> Confusion:
    truths = ["unknown" if np.isnan(t) else "positive" if t > 0.5 else "negative" for t in results.truth]
    calls = [
        call_name(bool(flagged), band is not None and band.holds(float(score)))
        for flagged, score in zip(results.flagged, results.scores, strict=True)
    ]
    return dict(Counter(zip(truths, calls, strict=True)))
