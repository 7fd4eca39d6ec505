"""Metrics of slides and of patients: what counts in the end, since metrics of tiles flatter."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inkdot.metrics.classification import BoolArray, FloatArray, balanced_accuracy
from inkdot.metrics.confidence_intervals import (
    Estimate,
    auc_estimate,
    average_precision_estimate,
    bootstrap_estimate,
    share_estimate,
)

NameArray = npt.NDArray[np.str_]
IntArray = npt.NDArray[np.int64]

NO_HIT = 0
NOT_ASKED = -1

NOT_STATED = "not stated"
"""The subgroup of those whose word is blank."""


@dataclass(frozen=True, slots=True)
class SlideResults:
    """What was said of slides and what is true of them.

    Attributes:
        patients: Patient of each slide, shape [n].
        truth: 1 where the slide is positive, 0 where negative, NaN where unknown, shape [n].
        scores: The slide's score, 0 to 1, NaN where it has none (inadequate, failed), shape [n].
        flagged: Whether the slide was flagged; one without a score was not, shape [n].
        hit_ranks: Rank of the first shown region that is truly positive, from 1; ``NO_HIT`` where none is among those
            shown, ``NOT_ASKED`` where the slide has no region known to be positive, shape [n].
        groups: Further words for each slide by column (site, scanner …), blank where unknown, each of shape [n].
    """

    patients: NameArray
    truth: FloatArray
    scores: FloatArray
    flagged: BoolArray
    hit_ranks: IntArray
    groups: Mapping[str, NameArray]

    def of(self, rows: BoolArray) -> "SlideResults":
        """The slides of some rows."""
        return SlideResults(
            patients=self.patients[rows],
            truth=self.truth[rows],
            scores=self.scores[rows],
            flagged=self.flagged[rows],
            hit_ranks=self.hit_ranks[rows],
            groups={name: words[rows] for name, words in self.groups.items()},
        )


def slide_metrics(
    results: SlideResults, *, ks: Sequence[int] = (10, 30), seed: int = 0
) -> dict[str, Estimate]:
    """AUC, average precision, sensitivity, specificity and balanced accuracy of the calls, and hit@k, by name.

    Undefined ones are left out. A slide without a score (inadequate) is never negative: a positive one counts
    as missed, a negative one as nothing. ``hit@k`` is the share of the slides with known positive regions that show one
    of them among the first k.
    """
    metrics: dict[str, Estimate | None] = {}
    known = ~np.isnan(results.truth)
    scored = known & ~np.isnan(results.scores)
    ranked = results.truth[scored] > 0.5, results.scores[scored], results.patients[scored]
    metrics["auc"] = auc_estimate(*ranked, seed=seed)
    metrics["average_precision"] = average_precision_estimate(*ranked, seed=seed)
    positive, negative = known & (results.truth > 0.5), scored & (results.truth <= 0.5)
    metrics["sensitivity"] = share_estimate(results.flagged[positive], results.patients[positive], seed=seed)
    metrics["specificity"] = share_estimate(~results.flagged[negative], results.patients[negative], seed=seed)
    judged = positive | negative
    metrics["balanced_accuracy"] = bootstrap_estimate(
        lambda weights: balanced_accuracy(results.truth[judged] > 0.5, results.flagged[judged], weights),
        results.patients[judged],
        seed=seed,
        sides=[positive[judged], negative[judged]],
    )
    if not (positive.any() and negative.any()):
        metrics["balanced_accuracy"] = None  # the mean of one side alone would pass for that of both
    asked = results.hit_ranks != NOT_ASKED
    for k in ks:
        hits = (results.hit_ranks[asked] != NO_HIT) & (results.hit_ranks[asked] <= k)
        metrics[f"hit@{k}"] = share_estimate(hits, results.patients[asked], seed=seed)
    return {name: estimate for name, estimate in metrics.items() if estimate is not None}


def as_patients(results: SlideResults, patient_truth: Mapping[str, bool]) -> SlideResults:
    """One row per patient: flagged where any slide is, with the highest score of the slides.

    Args:
        results: The slides.
        patient_truth: What is known of patients, by name; otherwise a patient is positive where any slide is,
            and negative where all slides are known to be.
    """
    names = np.unique(results.patients)
    owner = [results.patients == name for name in names]
    stated = np.array(
        [float(patient_truth[name]) if name in patient_truth else math.nan for name in names.tolist()]
    )
    derived = np.array([_any_positive(results.truth[rows]) for rows in owner])
    scores = [results.scores[rows] for rows in owner]
    return SlideResults(
        patients=names,
        truth=np.where(np.isnan(stated), derived, stated),
        scores=np.array([np.nanmax(own) if not np.isnan(own).all() else math.nan for own in scores]),
        flagged=np.array([bool(results.flagged[rows].any()) for rows in owner], np.bool_),
        hit_ranks=np.full(len(names), NOT_ASKED),
        groups={},
    )


def subgroup_metrics(results: SlideResults, *, seed: int = 0) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Slide metrics by column and word, for columns with at least two words.

    Returns:
        Column to word to metrics; blank words are named ``not stated``.
    """
    found: dict[str, dict[str, dict[str, Estimate]]] = {}
    for column, words in results.groups.items():
        distinct = sorted(set(words.tolist()))
        if len(distinct) > 1:
            found[column] = {
                word or NOT_STATED: slide_metrics(results.of(words == word), seed=seed) for word in distinct
            }
    return found


def _any_positive(truth: FloatArray) -> float:
    if (truth > 0.5).any():
        return 1.0
    return math.nan if np.isnan(truth).any() else 0.0
