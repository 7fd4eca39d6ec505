"""How often a locked operating point keeps its promise on further patients, by the earlier rule and by today's.

    python experiments/operating_point_guarantee.py [--draws 3000] [--sensitivity 0.95] [--confidence 0.9]

Each draw is a cohort of validation patients with binormal scores of a known AUC; the threshold and the abstention band are
chosen on it, and their true sensitivity, specificity and share of wrong calls follow from the normal distribution. A promise with
a confidence of 0.9 may be broken in one draw of ten. Simulated scores: nothing here is a performance on cells.
docs/explanation/experiments/operating-point-guarantee.md has the results. Takes about two minutes.
"""
# pyright: basic

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit, ndtr, ndtri

from inkdot.metrics.decision.abstention import Band, band_for_selective_risk, guaranteed_band
from inkdot.metrics.decision.guarantees import PatientScores, lock_threshold
from inkdot.metrics.decision.thresholds import logit, threshold_for_sensitivity

SIZES = ((8, 15), (20, 40), (40, 80), (60, 120), (150, 300))
AUCS = (0.85, 0.9, 0.95, 0.99)
RISK = 0.05


class Choice(NamedTuple):
    """What a rule chose on one cohort.

    Attributes:
        threshold: Score, 0 to 1.
        locked: The rule promises the sensitivity.
        low, high: The abstention band; both the threshold where there is none.
        band_locked: The rule promises the share of wrong calls.
    """

    threshold: float
    locked: bool
    low: float
    high: float
    band_locked: bool


class Row(NamedTuple):
    """One line of the table; shares of draws, 0 to 1.

    Attributes:
        positives, negatives: Patients of a cohort.
        auc: True AUC.
        locked: Draws in which the sensitivity is promised.
        mean_sensitivity: True sensitivity, mean over the draws.
        below: Draws whose true sensitivity is below the one asked for.
        broken: Draws in which it is below although it was promised.
        specificity: 5 %, 50 % and 95 % of the true specificities.
        band_locked: Draws in which the share of wrong calls is promised.
        above: Draws whose true share of wrong calls exceeds the one asked for.
        band_broken: Draws in which it does although it was promised.
        coverage: Mean true share of patients with a call, over all draws.
    """

    positives: int
    negatives: int
    auc: float
    locked: float
    mean_sensitivity: float
    below: float
    broken: float
    specificity: tuple[float, float, float]
    band_locked: float
    above: float
    band_broken: float
    coverage: float


Rule = Callable[[PatientScores, float, float], Choice]


def earlier_rule(units: PatientScores, sensitivity: float, confidence: float) -> Choice:
    """The lowest score that reaches the sensitivity on these patients, and the band that keeps the risk on them."""
    threshold = threshold_for_sensitivity(units.truth, units.scores, sensitivity)
    band = band_for_selective_risk(units.truth, units.scores, threshold, RISK)
    low, high = (band.low, band.high) if band.coverage else (threshold, threshold)
    return Choice(threshold, True, low, high, band.coverage > 0)


def todays_rule(units: PatientScores, sensitivity: float, confidence: float) -> Choice:
    """As `inkdot train` locks."""
    own = lock_threshold(units, sensitivity, confidence)
    promised: Band | None = (
        guaranteed_band(units.truth, units.scores, own.threshold, RISK, confidence) if own.locked else None
    )
    band = promised or band_for_selective_risk(units.truth, units.scores, own.threshold, RISK)
    low, high = (band.low, band.high) if band.coverage else (own.threshold, own.threshold)
    return Choice(own.threshold, own.locked, low, high, promised is not None)


def simulate(
    rule: Rule,
    positives: int,
    negatives: int,
    auc: float,
    *,
    draws: int,
    sensitivity: float,
    confidence: float,
    seed: int = 0,
) -> Row:
    """Draw cohorts and count kept and broken promises.

    Args:
        rule: Chooses on a cohort.
        positives: Positive patients of each.
        negatives: Negative ones.
        auc: True AUC of the scores.
        draws: Number of cohorts.
        sensitivity: Asked for, 0 to 1.
        confidence: Asked for, 0 to 1.
        seed: Same seed, same result.
    """
    rng = np.random.default_rng([seed, positives, negatives, round(1000 * auc)])
    distance = np.sqrt(2.0) * ndtri(auc)
    truth = np.arange(positives + negatives) < positives
    share = positives / (positives + negatives)
    found = np.empty((draws, 4))
    choices: list[Choice] = []
    for draw in range(draws):
        margins = rng.normal(size=len(truth)) + distance * truth
        # The log likelihood ratio: scores of a calibrated model, with classes in equal shares.
        scores = expit(distance * margins - distance**2 / 2.0)
        choice = rule(PatientScores(truth, scores), sensitivity, confidence)
        cuts = np.array([choice.threshold, choice.low, choice.high])
        at, low, high = (logit(cuts) + distance**2 / 2.0) / distance
        called_negative = ndtr(low - distance), ndtr(low)
        called_positive = 1.0 - ndtr(high - distance), 1.0 - ndtr(high)
        wrong = share * called_negative[0] + (1.0 - share) * called_positive[1]
        called = share * (called_negative[0] + called_positive[0]) + (1.0 - share) * (
            called_negative[1] + called_positive[1]
        )
        found[draw] = 1.0 - ndtr(at - distance), ndtr(at), wrong / called, called
        choices.append(choice)
    locked = np.array([choice.locked for choice in choices])
    band_locked = np.array([choice.band_locked for choice in choices])
    below, above = found[:, 0] < sensitivity, found[:, 2] > RISK
    five, half, most = np.quantile(found[:, 1], [0.05, 0.5, 0.95]).tolist()
    return Row(
        positives=positives,
        negatives=negatives,
        auc=auc,
        locked=float(locked.mean()),
        mean_sensitivity=float(found[:, 0].mean()),
        below=float(below.mean()),
        broken=float((below & locked).mean()),
        specificity=(five, half, most),
        band_locked=float(band_locked.mean()),
        above=float(above.mean()),
        band_broken=float((above & band_locked).mean()),
        coverage=float(found[:, 3].mean()),
    )


def main() -> None:
    """Print the tables of both rules."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=3000)
    parser.add_argument("--sensitivity", type=float, default=0.95)
    parser.add_argument("--confidence", type=float, default=0.9)
    given = parser.parse_args()
    rules: dict[str, Rule] = {"earlier rule": earlier_rule, "today's rule": todays_rule}
    print(
        f"asked: sensitivity {given.sensitivity:g}, wrong calls {RISK:g}, confidence {given.confidence:g}; {given.draws} draws"
    )
    for name, rule in rules.items():
        print(f"\n{name}\n")
        print("| patients | AUC | locked | true sensitivity | below | locked and below | specificity (5 to 95 %) "
              "| band locked | wrong above | locked and above | coverage |")  # fmt: skip
        print("|---|" + "---:|" * 10)
        for positives, negatives in SIZES:
            for auc in AUCS:
                row = simulate(
                    rule, positives, negatives, auc, draws=given.draws,
                    sensitivity=given.sensitivity, confidence=given.confidence,
                )  # fmt: skip
                low, middle, high = row.specificity
                print(
                    f"| {positives} + {negatives} | {auc:g} | {row.locked:.0%} | {row.mean_sensitivity:.3f} | {row.below:.1%} | "
                    f"{row.broken:.1%} | {middle:.2f} ({low:.2f} to {high:.2f}) | {row.band_locked:.0%} | {row.above:.1%} | "
                    f"{row.band_broken:.1%} | {row.coverage:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
