"""Predictive values where a stated share of the patients is positive.

A test set rarely has the prevalence of the laboratory that will use the model, and predictive values follow it.
"""

import math
from typing import Final, NamedTuple

from scipy.special import expit, ndtri

from inkdot.metrics.intervals.confidence_intervals import Estimate

LOGIT: Final = "logit interval (Mercaldo 2007)"
ADJUSTED_LOGIT: Final = "adjusted logit interval (Mercaldo 2007)"


class Counts(NamedTuple):
    """Calls of independent patients by truth.

    Attributes:
        true_positives: Positive ones that are flagged.
        positives: All positive ones.
        true_negatives: Negative ones that are not flagged.
        negatives: All negative ones.
    """

    true_positives: int
    positives: int
    true_negatives: int
    negatives: int


class PredictiveValues(NamedTuple):
    """Predictive values at one prevalence.

    Attributes:
        prevalence: Share of positive patients, 0 to 1.
        ppv: Positive predictive value: share of the flagged that is positive.
        npv: Negative predictive value: share of those not flagged that is negative.
        flagged: Share of all patients that is flagged.
        missed: Share of all patients that is positive and not flagged.
    """

    prevalence: float
    ppv: Estimate
    npv: Estimate
    flagged: float
    missed: float


def predictive_values(counts: Counts, prevalence: float, confidence: float = 0.95) -> PredictiveValues | None:
    """PPV and NPV by Bayes' theorem, with logit intervals (Mercaldo, Lau and Zhou 2007, Stat. Med. 26:2170).

    Where all or none of a class were called right, the logit of a share does not exist; sensitivity and specificity of the
    interval are then those of Agresti and Coull, ``(x + k² / 2) / (n + k²)`` with the normal quantile ``k`` (the paper's adjusted
    logit interval). The values are never adjusted.

    Args:
        counts: Calls by truth; one row per patient, as the intervals suppose.
        prevalence: More than 0 and less than 1.
        confidence: Coverage of the intervals, 0 to 1.

    Returns:
        None where a class has no patient, or where all or none are flagged, so that one of the values is undefined.

    Raises:
        ValueError: The prevalence is out of range.
    """
    if not 0.0 < prevalence < 1.0:
        raise ValueError(f"expected a prevalence of more than 0 and less than 1, found {prevalence}")
    hits, positives, rejected, negatives = counts
    if not positives or not negatives:
        return None
    sensitivity, specificity = hits / positives, rejected / negatives
    flagged = sensitivity * prevalence + (1.0 - specificity) * (1.0 - prevalence)
    if not 0.0 < flagged < 1.0:
        return None
    k = float(ndtri(0.5 + confidence / 2.0))
    adjusted = not (0 < hits < positives and 0 < rejected < negatives)
    se, sp, n_positive, n_negative = sensitivity, specificity, float(positives), float(negatives)
    if adjusted:
        se, sp = (hits + k * k / 2.0) / (positives + k * k), (rejected + k * k / 2.0) / (negatives + k * k)
    odds = prevalence / (1.0 - prevalence)
    ppv = sensitivity * prevalence / flagged
    npv = specificity * (1.0 - prevalence) / (1.0 - flagged)
    of_ppv = (1.0 - se) / (se * n_positive) + sp / ((1.0 - sp) * n_negative)
    of_npv = se / ((1.0 - se) * n_positive) + (1.0 - sp) / (sp * n_negative)
    method = ADJUSTED_LOGIT if adjusted else LOGIT
    return PredictiveValues(
        prevalence=prevalence,
        ppv=_interval(ppv, math.log(odds * se / (1.0 - sp)), k * math.sqrt(of_ppv), method),
        npv=_interval(npv, math.log(sp / (odds * (1.0 - se))), k * math.sqrt(of_npv), method),
        flagged=flagged,
        missed=(1.0 - sensitivity) * prevalence,
    )


def _interval(value: float, centre: float, half: float, method: str) -> Estimate:
    """An interval on the logit scale; it holds the value, which the adjustment may have left outside."""
    low, high = float(expit(centre - half)), float(expit(centre + half))
    return Estimate(value, min(low, value), max(high, value), method)
