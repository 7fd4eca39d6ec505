"""Statements that hold with a stated confidence for further patients like those of the validation data.

Distribution-free and exact for any number of patients: the k-th smallest score of n positive patients is an order statistic,
below which a share of all positive patients lies that follows the beta distribution (k, n − k + 1). So it is a one-sided
tolerance limit (Wilks 1941, Ann. Math. Stat. 12:91), which is the training-conditional guarantee of split conformal
prediction (Vovk 2012, Proc. Mach. Learn. Res. 25:475). Shares of wrong calls are tested by exact binomial tails in a fixed
sequence (Learn then Test: Angelopoulos et al. 2021, arXiv:2110.01052).

Patients are drawn independently; tiles and slides of one are not.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv

from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.decision.thresholds import rounded_down, threshold_in_gap
from inkdot.metrics.sample_size import positives_for_lock
from inkdot.metrics.slides.slide_level import NameArray


class PatientScores(NamedTuple):
    """One row per patient.

    Attributes:
        truth: Whether any of the patient's slides is positive, shape [patients].
        scores: The highest score of the patient's slides, shape [patients].
    """

    truth: BoolArray
    scores: FloatArray


def patient_scores(truth: BoolArray, scores: npt.ArrayLike, patients: NameArray) -> PatientScores:
    """The unit of all guarantees: a patient is flagged where any slide is.

    Args:
        truth: Whether each slide is positive, shape [n].
        scores: Shape [n].
        patients: Patient of each slide, shape [n].
    """
    names, owner = np.unique(patients, return_inverse=True)
    highest = np.full(len(names), -np.inf)
    np.maximum.at(highest, owner, np.asarray(scores, np.float64))
    return PatientScores(np.bincount(owner, weights=truth, minlength=len(names)) > 0, highest)


def one_row_per_patient(
    truth: BoolArray, scores: npt.ArrayLike, patients: NameArray, *, seed: int = 0
) -> PatientScores:
    """One row of each patient and class, drawn at random: for rows that are called one by one, such as images.

    Rows of one patient resemble each other; one each are independent, so a guarantee holds for a random row of a further
    patient (Dunn, Wasserman and Ramdas 2022, J. Am. Stat. Assoc. 118:2491, subsampling once).

    Args:
        truth: Whether each row is positive, shape [n].
        scores: Shape [n].
        patients: Patient of each row, shape [n].
        seed: Same seed, same rows.
    """
    order = np.random.default_rng(seed).permutation(len(truth))
    _, groups = np.unique(patients[order], return_inverse=True)
    _, first = np.unique(2 * groups + truth[order], return_index=True)
    rows = np.sort(order[first])
    return PatientScores(truth[rows], np.asarray(scores, np.float64)[rows])


def tolerance_rank(positives: int, sensitivity: float, confidence: float) -> int:
    """The largest k for which the k-th smallest score of the positive patients guarantees a sensitivity; 0 for none.

    Args:
        positives: Number of positive patients.
        sensitivity: 0 to 1, both excluded.
        confidence: 0 to 1, both excluded.
    """
    ranks = np.arange(1, positives + 1)
    # P(Binomial(n, 1 − sensitivity) ≥ k): k or more of n patients lie below the quantile that must not be exceeded.
    holds = betainc(ranks, positives - ranks + 1.0, 1.0 - sensitivity) >= confidence - 1e-12
    return int(holds.sum())


def average_rank(positives: int, sensitivity: float) -> int:
    """The largest k for which the k-th smallest score reaches a sensitivity on average over cohorts, at least 1.

    The marginal guarantee of split conformal prediction: weaker than :func:`tolerance_rank`, for cohorts that are too small for
    it. Below 1 / (1 − sensitivity) − 1 patients not even the lowest score, rank 1, reaches it.
    """
    return max(1, math.floor((positives + 1) * (1.0 - sensitivity) + 1e-9))


class LockedThreshold(NamedTuple):
    """A threshold and what holds for it.

    Attributes:
        threshold: Score, 0 to 1.
        locked: The sensitivity that was asked for is guaranteed.
        positives: Number of positive patients.
        needed: The fewest positive patients that could guarantee it.
        bound: The sensitivity that is guaranteed.
    """

    threshold: float
    locked: bool
    positives: int
    needed: int
    bound: float


def lock_threshold(
    units: PatientScores, sensitivity: float, confidence: float, *, score_error: float = 0.0
) -> LockedThreshold:
    """Choose a threshold whose sensitivity on further patients is, with a confidence, at least the one asked for.

    It is the tolerance limit of the positive patients, see :func:`tolerance_rank`, lowered into the gap below it. With too few of
    them for one, it is the score that reaches the sensitivity on average, see :func:`average_rank`, and not locked.

    Args:
        units: Independent patients, at least one of them positive.
        sensitivity: 0 to 1, both excluded.
        confidence: 0 to 1, both excluded.
        score_error: How far the scores may be from those that the threshold is used on; it is lowered by so much.

    Raises:
        ValueError: No patient is positive.
    """
    positive = np.sort(units.scores[units.truth])
    count = len(positive)
    if not count:
        raise ValueError("expected at least one positive patient to choose a threshold on, found none")
    rank = tolerance_rank(count, sensitivity, confidence)
    used = rank or min(count, average_rank(count, sensitivity))
    chosen = threshold_in_gap(units.truth, units.scores, float(positive[used - 1]))
    lowest = float(positive[positive >= chosen].min())
    return LockedThreshold(
        # Rounded down: another runtime's last digits must not unflag the very patient that set the threshold.
        threshold=rounded_down(max(0.0, min(chosen, lowest - score_error))),
        locked=rank > 0,
        positives=count,
        needed=positives_for_lock(sensitivity, confidence),
        bound=sensitivity_bound(count, used - 1, confidence),
    )


def sensitivity_bound(positives: int, missed: int, confidence: float) -> float:
    """The sensitivity that a threshold has with a confidence (lower one-sided bound of Clopper and Pearson), 0 to 1.

    Args:
        positives: Number of positive patients, at least 1.
        missed: How many of them lie below the threshold.
        confidence: 0 to 1, both excluded.
    """
    if missed >= positives:
        return 0.0
    return 1.0 - float(betaincinv(missed + 1.0, positives - missed, confidence))


def risk_bound(wrong: int, calls: int, confidence: float) -> float:
    """The share of wrong calls that is not exceeded, with a confidence (upper one-sided bound of Clopper and Pearson).

    Args:
        wrong: Number of wrong calls.
        calls: Number of all calls.
        confidence: 0 to 1, both excluded.
    """
    return 1.0 if wrong >= calls else float(betaincinv(wrong + 1.0, calls - wrong, confidence))
