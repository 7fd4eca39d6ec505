"""Metrics of slides and of patients; metrics of tiles are too optimistic for a diagnosis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray, FloatArray, balanced_accuracy
from inkdot.metrics.intervals.confidence_intervals import (
    Estimate,
    auc_estimate,
    average_precision_estimate,
    bootstrap_estimate,
    sensitivity_specificity,
    share_estimate,
)

NameArray = npt.NDArray[np.str_]
IntArray = npt.NDArray[np.int64]

NO_HIT = 0
NO_KNOWN_REGION = -1

NOT_STATED = "not stated"
"""The subgroup of slides with a blank cell."""


@dataclass(frozen=True, slots=True)
class SlidePredictions:
    """Truth and predictions of slides.

    Attributes:
        patients: Patient of each slide, shape [n].
        truth: 1 where the slide is positive, 0 where negative, NaN where unknown, shape [n].
        scores: The slide's score, 0 to 1, NaN where it has none (inadequate, failed), shape [n].
        flagged: Whether the slide was flagged; one without a score was not, shape [n].
        hit_ranks: Rank of the first shown region that is truly positive, from 1; ``NO_HIT`` where none is among those
            shown, ``NO_KNOWN_REGION`` where the slide has no region known to be positive, shape [n].
        groups: Subgroup of each slide by column (site, scanner …), blank where unknown, each of shape [n].
    """

    patients: NameArray
    truth: FloatArray
    scores: FloatArray
    flagged: BoolArray
    hit_ranks: IntArray
    groups: Mapping[str, NameArray]

    def of(self, rows: BoolArray) -> "SlidePredictions":
        """The slides of some rows."""
        return SlidePredictions(
            patients=self.patients[rows],
            truth=self.truth[rows],
            scores=self.scores[rows],
            flagged=self.flagged[rows],
            hit_ranks=self.hit_ranks[rows],
            groups={name: words[rows] for name, words in self.groups.items()},
        )


def slide_metrics(
    results: SlidePredictions, *, ks: Sequence[int] = (10, 30), seed: int = 0
) -> dict[str, Estimate]:
    """AUC, average precision, sensitivity, specificity and balanced accuracy of the calls, and hit@k, by name.

    Undefined ones are left out. A slide without a score (inadequate) is never negative: a positive one counts as missed, a
    negative one is not counted. ``hit@k`` is the share of the slides with known positive regions that show one
    of them among the first k.
    """
    metrics: dict[str, Estimate | None] = {}
    known = ~np.isnan(results.truth)
    scored = known & ~np.isnan(results.scores)
    ranked = results.truth[scored] > 0.5, results.scores[scored], results.patients[scored]
    metrics["auc"] = auc_estimate(*ranked, seed=seed)
    metrics["average_precision"] = average_precision_estimate(*ranked, seed=seed)
    positive, negative = known & (results.truth > 0.5), scored & (results.truth <= 0.5)
    rows = positive | negative
    truth, called, patients = positive[rows], results.flagged[rows], results.patients[rows]
    metrics |= sensitivity_specificity(truth, called, patients, seed=seed)
    metrics["balanced_accuracy"] = bootstrap_estimate(
        lambda weights: balanced_accuracy(truth, called, weights),
        patients,
        seed=seed,
        sides=[truth, ~truth],
    )
    if truth.all() or not truth.any():
        metrics["balanced_accuracy"] = None  # the recall of one class alone would look like the mean of both
    marked = results.hit_ranks != NO_KNOWN_REGION
    for k in ks:
        hits = (results.hit_ranks[marked] != NO_HIT) & (results.hit_ranks[marked] <= k)
        metrics[f"hit@{k}"] = share_estimate(hits, results.patients[marked], seed=seed)
    return {name: estimate for name, estimate in metrics.items() if estimate is not None}


def as_patients(results: SlidePredictions, patient_truth: Mapping[str, bool]) -> SlidePredictions:
    """One row per patient: flagged where any slide is, with the highest score of the slides.

    Args:
        results: The slides.
        patient_truth: Truth of patients, by name. Of other patients: positive where any slide is, negative where all
            slides are known to be.
    """
    names = np.unique(results.patients)
    owner = [results.patients == name for name in names]
    stated = np.array(
        [float(patient_truth[name]) if name in patient_truth else math.nan for name in names.tolist()]
    )
    derived = np.array([_any_positive(results.truth[rows]) for rows in owner])
    scores = [results.scores[rows] for rows in owner]
    return SlidePredictions(
        patients=names,
        truth=np.where(np.isnan(stated), derived, stated),
        scores=np.array([np.nanmax(own) if not np.isnan(own).all() else math.nan for own in scores]),
        flagged=np.array([bool(results.flagged[rows].any()) for rows in owner], np.bool_),
        hit_ranks=np.full(len(names), NO_KNOWN_REGION),
        groups={},
    )


def subgroup_metrics(
    results: SlidePredictions, *, seed: int = 0
) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Slide metrics by column and value, for columns with at least two values.

    Returns:
        Column to value to metrics; blank values are named ``not stated``.
    """
    metrics: dict[str, dict[str, dict[str, Estimate]]] = {}
    for column, values in results.groups.items():
        distinct = sorted(set(values.tolist()))
        if len(distinct) > 1:
            metrics[column] = {
                value or NOT_STATED: slide_metrics(results.of(values == value), seed=seed)
                for value in distinct
            }
    return metrics


def _any_positive(truth: FloatArray) -> float:
    if (truth > 0.5).any():
        return 1.0
    return math.nan if np.isnan(truth).any() else 0.0
