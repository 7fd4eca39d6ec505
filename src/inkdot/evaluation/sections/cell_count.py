"""Whether the number of cells alone explains the metrics of slides."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from inkdot.evaluation.places import Clusters
from inkdot.evaluation.report import Metrics, Section, Table
from inkdot.evaluation.report_parts import counts_text, estimate_text, subgroup_table
from inkdot.metrics.classification import FloatArray
from inkdot.metrics.intervals.confidence_intervals import (
    Estimate,
    auc_estimate,
    sensitivity_specificity,
)
from inkdot.metrics.slides.cellularity import CountAgainstScore, count_against_score
from inkdot.metrics.slides.slide_level import IntArray, NameArray, SlidePredictions

SINGLE, SEVERAL = "single cell", "cluster of two nuclei or more"

CELLULARITY = "cellularity"
"""Subgroup: thirds of the slides by their number of candidates."""


def cell_count_section(
    results: SlidePredictions,
    counts: IntArray,
    unit: str,
    subgroups: Mapping[str, Metrics],
    sizes: Mapping[str, str],
    prefix: str,
) -> tuple[Section, str, dict[str, object]]:
    """AUC of the number of candidates beside that of the score, and metrics by thirds of it.

    Args:
        results: The slides.
        counts: Candidates of each, shape [n].
        unit: What candidates are, in plural.
        subgroups: Metrics by third.
        sizes: Number of slides by third, as text.
        prefix: Before the names of metrics.

    Returns:
        The section, a warning (blank for none), and the key ``cell_count`` of the JSON file.
    """
    rows = ~np.isnan(results.truth) & ~np.isnan(results.scores)
    found = count_against_score(
        results.truth[rows] > 0.5, results.scores[rows], counts[rows], results.patients[rows]
    )
    warning = _warning(found, unit, prefix)
    section = Section(
        anchor="cell-count",
        question="Does the number of cells explain it?",
        warning=warning,
        notes=[
            f"Candidates: {unit} with a score. Malignant slides often hold more of them, and the highest of many scores rises "
            "with their number: the count alone can pass for skill.",
            "A score that knows the count has about the same specificity in every third.",
        ],
        tables=[
            Table("On the same slides", ["", "value (95 % interval)"], _rows(found, unit, prefix)),
            subgroup_table("By thirds of the slides, from few candidates to many", subgroups, sizes, prefix),
        ],
    )
    return section, warning, {} if found is None else _json(found, unit, prefix)


def _rows(found: CountAgainstScore | None, unit: str, prefix: str) -> list[list[str]]:
    if found is None:
        return []
    which = f"number of {unit}{', few before many' if found.fewer else ''}"
    return [
        [f"{prefix}AUC of the score", estimate_text(found.score)],
        [f"{prefix}AUC of the {which}, alone", estimate_text(found.count)],
        ["difference (paired)", str(found.difference)],
    ]


def _warning(found: CountAgainstScore | None, unit: str, prefix: str) -> str:
    if found is None or not found.explained:
        return ""
    return (
        f"The number of {unit} explains as much: {prefix}AUC of slides {found.score.value:.3f} by the score and "
        f"{found.count.value:.3f} by the number alone, difference {found.difference}. These slides do not show that the model "
        "sees malignancy; evaluate it on slides with similar numbers in both classes."
    )


def _json(found: CountAgainstScore, unit: str, prefix: str) -> dict[str, object]:
    return {
        "unit": unit,
        "fewer": found.fewer,
        f"{prefix}auc": asdict(found.score),
        f"{prefix}auc_of_count": asdict(found.count),
        f"{prefix}difference": asdict(found.difference),
        "explained_by_count": found.explained,
    }


def cluster_metrics(
    clusters: list[tuple[str, Clusters]],
) -> tuple[dict[str, dict[str, Estimate]], dict[str, str]]:
    """AUC, sensitivity and specificity of clusters, of single cells against larger ones, with intervals over patients.

    Args:
        clusters: Patient and clusters of each slide.

    Returns:
        Metrics, and numbers as text, both by kind; empty where no cluster's truth is known.
    """
    if not clusters:
        return {}, {}
    truth = np.concatenate([own.truth for _, own in clusters])
    scores = np.concatenate([own.scores for _, own in clusters])
    flagged = np.concatenate([own.flagged for _, own in clusters])
    nuclei = np.concatenate([own.nuclei for _, own in clusters])
    patients = np.repeat(
        np.array([patient for patient, _ in clusters]), [len(own.truth) for _, own in clusters]
    )
    metrics, sizes = dict[str, dict[str, Estimate]](), dict[str, str]()
    for name, rows in ((SINGLE, nuclei <= 1), (SEVERAL, nuclei > 1)):
        known = np.flatnonzero(rows & ~np.isnan(truth))
        if not len(known):
            continue
        positive, own = truth[known] > 0.5, patients[known]
        found = {
            "auc": auc_estimate(positive, scores[known], own),
            **sensitivity_specificity(positive, flagged[known], own),
        }
        metrics[name] = {key: estimate for key, estimate in found.items() if estimate is not None}
        sizes[name] = _size(truth[known], own)
    return metrics, sizes


def _size(truth: FloatArray, patients: NameArray) -> str:
    return f"{len(np.unique(patients))} patients: {counts_text(truth)}"
