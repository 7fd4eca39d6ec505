"""Selective prediction: how many units get a call, and how many of these calls are wrong."""

from typing import NamedTuple

import numpy as np

from inkdot.evaluation.report import Plot
from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.decision.abstention import aurc, risk_coverage
from inkdot.metrics.intervals.confidence_intervals import Estimate, bootstrap_estimate, share_estimate
from inkdot.metrics.slides.slide_level import NameArray
from inkdot.storage.models.model_records import AbstentionBand, Guarantee


class SelectivePrediction(NamedTuple):
    """Calls of the flagging head on units whose truth is known.

    Attributes:
        metrics: ``aurc``; where the model abstains, ``coverage`` and ``selective_risk``; by name.
        curve: (coverage, risk), the most confident calls first.
        locked: The point of the curve that the model's own abstention band gives here; None without one.
    """

    metrics: dict[str, Estimate]
    curve: list[tuple[float, float]]
    locked: tuple[float, float] | None

    def plot(self, units: str) -> Plot:
        """The risk-coverage curve, with the model's own point marked."""
        ring = "; the ring is the model's own abstention band" if self.locked else ""
        return Plot(
            f"Risk-coverage curve of {units}: the calls farthest from the threshold come first{ring}",
            f"coverage (share of {units} with a call)",
            "risk (share of wrong calls)",
            self.curve,
            diagonal=False,
            marked=[self.locked] if self.locked else [],
        )


def selective_prediction(
    truth: BoolArray, scores: FloatArray, patients: NameArray, threshold: float, band: AbstentionBand | None
) -> SelectivePrediction:
    """Risk and coverage of all bands round the threshold, and of the one that the model locked.

    Args:
        truth: Of each unit with a score, shape [n].
        scores: Shape [n].
        patients: Shape [n].
        threshold: The locked operating point.
        band: Scores on which the model abstains.
    """
    area = bootstrap_estimate(lambda weights: aurc(truth, scores, threshold, weights), patients)
    estimates: dict[str, Estimate | None] = {"aurc": area}
    point = None
    if band is not None and band.low is not None and band.high is not None and len(truth):
        called = np.array([not band.holds(score) for score in scores.tolist()])
        wrong = (scores >= threshold) != truth
        estimates["coverage"] = share_estimate(called, patients)
        estimates["selective_risk"] = share_estimate(wrong[called], patients[called])
        point = (float(called.mean()), float(wrong[called].mean())) if called.any() else None
    metrics = {name: estimate for name, estimate in estimates.items() if estimate is not None}
    return SelectivePrediction(metrics, risk_coverage(truth, scores, threshold), point)


def abstention_text(band: AbstentionBand | None) -> str:
    """The scores on which the model abstains, as a sentence."""
    if band is None or band.low is None or band.high is None:
        return "The model never abstains."
    own = band.guarantee
    chosen_on = "out-of-fold scores" if own is not None and own.scores == "out_of_fold" else "validation data"
    return (
        f"The model abstains (indeterminate) on scores between {band.low:.4g} and {band.high:.4g}, locked for a selective risk "
        f"of {band.target_selective_risk:g} on {chosen_on}{_promise(own)}. Sensitivity and specificity are of the threshold "
        "alone."
    )


def _promise(guarantee: Guarantee | None) -> str:
    """What is known of further patients; nothing for older models."""
    if guarantee is None:
        return ""
    if not guarantee.locked:
        return ", not guaranteed for further ones"
    return f" and guaranteed for further ones with a confidence of {guarantee.confidence:g}"


def call_name(flagged: bool, abstained: bool) -> str:
    """The call of a unit that has a score."""
    return "indeterminate" if abstained else "flagged" if flagged else "nothing flagged"
