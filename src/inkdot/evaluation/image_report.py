"""The evaluation report of scored images: groups (patients, or original images) first."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inkdot.datasets.image_cache import hashes_of
from inkdot.evaluation.head_metrics import decided_rows
from inkdot.evaluation.image_results import ImageResults, sites_of
from inkdot.evaluation.oof_metrics import confusion_matrix, cross_validation_metrics
from inkdot.evaluation.report import Confusion, EvaluationReport
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
from inkdot.evaluation.worst_errors import worst_images
from inkdot.labels import flag_column, flagging_head, head_slices
from inkdot.metrics.curves import reliability_bins, roc_points
from inkdot.metrics.slides.slide_level import (
    NO_KNOWN_REGION,
    SlidePredictions,
    as_patients,
    slide_metrics,
)
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.models.model_records import AbstentionBand


def image_report(
    images: ImageResults, model: ModelFile, model_sha256: str, source: Path, notes: Sequence[str]
) -> EvaluationReport:
    """The report on labelled images, with the metrics that slides have where they make sense.

    Args:
        images: The scored images.
        model: The model.
        model_sha256: Its hash.
        source: The table.
        notes: Further warnings.
    """
    heads, predictions = model.head_records, images.predictions
    head, column, slices = flagging_head(heads), flag_column(heads), head_slices(heads)
    rows, truth = decided_rows(predictions.targets, column)
    results = _results(images, column)
    groups = as_patients(results, {})
    prefix = metric_prefix(model)
    scores = predictions.scores[rows, column].astype(np.float64)
    reliability = reliability_bins(truth, scores, predictions.patients[rows])
    threshold, band = model.operating_points[head.name].threshold, model.abstention.get(head.name)
    selective = selective_prediction(truth, scores, predictions.patients[rows], threshold, band)
    of_images = cross_validation_metrics(predictions, heads, seed=0)
    if model.members:  # each member has its own temperatures: there are no scores of the ensemble before them
        of_images = {
            name: own for name, own in of_images.items() if not name.startswith("calibration_error_before.")
        }
    metrics = {
        "Groups": slide_metrics(groups, ks=()),
        "Images": of_images | selective.metrics,
    }
    return EvaluationReport(
        title="Evaluation report",
        unit="image",
        warnings=[
            *cohort_warnings(model, 0),
            *trained_on_warnings(model, list(hashes_of(images.entries).values()), "images"),
            *notes,
        ],
        facts=[
            f"{len(images.entries)} images of {len(groups.patients)} groups from {source.name}; a group is a patient or an "
            "original image, and intervals are over groups.",
            f"Groups: {counts_text(groups.truth)}. Images: {counts_text(results.truth)}.",
            *model_facts(model, model_sha256, " A group is flagged where one image reaches it."),
            *spread_facts([] if images.spread is None else images.spread.tolist(), "images"),
        ],
        metrics={level: prefixed(own, prefix) for level, own in metrics.items()},
        calls=_calls(results, band),
        confusions={own.name: confusion_matrix(predictions, own, slices[own.name]) for own in heads},
        subgroups=prefixed_subgroups(results, prefix),
        subgroup_sizes=subgroup_sizes(results, "images", "groups"),
        failed=images.failed,
        plots=[
            roc_plot("images", roc_points(truth, scores)),
            selective.plot("images"),
            reliability_plot(reliability, "image scores"),
        ],
        reliability=reliability,
        worst_errors=worst_images(
            images.entries,
            results.truth,
            results.scores,
            results.flagged,
            images.tiling,
            images.columns,
            {row: entry.labels.get(head.name, "") for row, entry in enumerate(images.entries)},
        ),
        curves={"risk_coverage": [{"coverage": x, "risk": y} for x, y in selective.curve]},
    )


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
