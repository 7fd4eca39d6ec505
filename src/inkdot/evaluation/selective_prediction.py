"""What an evaluation says of labels that are left open: how many are given, and how many of these are wrong."""

from typing import NamedTuple

import numpy as np

from inkdot.evaluation.report import Plot
from inkdot.metrics.abstention import area_under_risk, risk_coverage
from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.confidence_intervals import Estimate, bootstrap_estimate, share_estimate
from inkdot.metrics.slide_level import NameArray
from inkdot.storage.model_files import AbstentionBand


class SelectivePrediction(NamedTuple):
    """Labels of the flagging head on units whose truth is known.

    Attributes:
        metrics: ``area_under_risk``; where the model leaves scores open, ``coverage`` and ``selective_risk``; by name.
        curve: (share labelled, share of these wrong), the surest first.
        locked: The point of the curve that the model's own band gives here; None without one.
    """

    metrics: dict[str, Estimate]
    curve: list[tuple[float, float]]
    locked: tuple[float, float] | None

    def plot(self, units: str) -> Plot:
        """The curve, with the locked point marked."""
        marked = ", the ring: as the model was locked" if self.locked else ""
        return Plot(
            f"{units.capitalize()} left open, the closest to the threshold first{marked}",
            f"share of {units} labelled",
            "share of wrong labels",
            self.curve,
            diagonal=False,
            marked=[self.locked] if self.locked else [],
        )


def answering(
    truth: BoolArray, scores: FloatArray, patients: NameArray, threshold: float, locked: AbstentionBand | None
) -> SelectivePrediction:
    """Risk and coverage of all bands round the threshold, and of the one that the model locked.

    Args:
        truth: Of each unit with a score, shape [n].
        scores: Shape [n].
        patients: Shape [n].
        threshold: The locked operating point.
        locked: Which scores the model leaves open.
    """
    area = bootstrap_estimate(lambda weights: area_under_risk(truth, scores, threshold, weights), patients)
    found: dict[str, Estimate | None] = {"area_under_risk": area}
    point = None
    if locked is not None and locked.low is not None and locked.high is not None and len(truth):
        given = np.array([not locked.holds(score) for score in scores.tolist()])
        wrong = (scores >= threshold) != truth
        found["coverage"] = share_estimate(given, patients)
        found["selective_risk"] = share_estimate(wrong[given], patients[given])
        point = (float(given.mean()), float(wrong[given].mean())) if given.any() else None
    metrics = {name: estimate for name, estimate in found.items() if estimate is not None}
    return SelectivePrediction(metrics, risk_coverage(truth, scores, threshold), point)


def abstention_fact(locked: AbstentionBand | None) -> str:
    """Which scores the model leaves open, for people."""
    if locked is None or locked.low is None or locked.high is None:
        return "The model leaves no score open."
    return (
        f"Scores between {locked.low:.4g} and {locked.high:.4g} are left open (indeterminate), locked for an error of "
        f"{locked.target_selective_risk:g} on validation data. Sensitivity "
        "and specificity are of the threshold alone."
    )


def call_word(flagged: bool, abstained: bool) -> str:
    """The call of a unit that has a score."""
    return "indeterminate" if abstained else "flagged" if flagged else "nothing flagged"
