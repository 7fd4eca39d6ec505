"""Whether nested cross-validation recovers the gain of case columns over slide columns, on cases of which the truth is known.

    python experiments/case_model_gain.py [--draws 60] [--only NUMBER]

Each draw is a cohort with one slide column and two case columns (one may be missing). The models of the whole cohort are
applied to 20,000 further cases: that is their true gain in AUC. It is compared with the gain that nested cross-validation
estimates on the cohort, and with its two intervals (paired bootstrap over patients, DeLong). Simulated numbers: nothing here is
a performance on cells. docs/explanation/experiments/case-model-gain.md has the results. Takes about six minutes of one core.
"""
# pyright: basic

import argparse
from typing import NamedTuple

import numpy as np
from scipy.special import logit, ndtr

from inkdot.case_model.case_table import ARMS, CaseTable, blocks_of
from inkdot.case_model.fit import FitSettings, fit_logistic
from inkdot.case_model.nested import nested_cross_validation
from inkdot.metrics.classification import roc_auc
from inkdot.metrics.intervals.delong import delong_test
from inkdot.metrics.intervals.paired_bootstrap import paired_difference
from inkdot.metrics.recalibration import fit_recalibration

FOLDS, INNER_FOLDS, REPLICATES, FURTHER = 4, 3, 400, 20_000
IMAGE = 1.0
"""Distance of the class means of the slide column, in standard deviations: AUC 0.76."""


class Scenario(NamedTuple):
    """One line of the table.

    Attributes:
        positives, negatives: Patients of a cohort.
        case: Distance of the class means of the first case column; the second one is noise.
        missing: Share of cases without the first case column, at random.
    """

    positives: int
    negatives: int
    case: float
    missing: float


SCENARIOS = (
    Scenario(20, 40, 1.0, 0.0),
    Scenario(40, 80, 1.0, 0.0),
    Scenario(40, 80, 1.0, 0.3),
    Scenario(40, 80, 0.0, 0.3),
)


def cohort(rng: np.random.Generator, scenario: Scenario, positives: int, negatives: int) -> CaseTable:
    """Cases of a scenario."""
    count = positives + negatives
    truth = np.arange(count) < positives
    number = rng.normal(size=count) + scenario.case * truth
    number[rng.random(count) < scenario.missing] = np.nan
    names = np.array([f"p{row}" for row in range(count)])
    return CaseTable(
        names,
        names,
        truth,
        {"score": rng.normal(size=count) + IMAGE * truth, "number": number, "noise": rng.normal(size=count)},
        {},
        {"score": "image", "number": "case", "noise": "case"},
    )


def draw(rng: np.random.Generator, scenario: Scenario, seed: int) -> tuple[float, ...]:
    """True gain, estimated gain, ends of both intervals, and the estimated and true calibration slope of both blocks."""
    own = cohort(rng, scenario, scenario.positives, scenario.negatives)
    share = scenario.positives / (scenario.positives + scenario.negatives)
    further = cohort(rng, scenario, round(FURTHER * share), FURTHER - round(FURTHER * share))
    settings = FitSettings(inner_folds=INNER_FOLDS, seed=seed)
    oof = nested_cross_validation(own, settings, folds=FOLDS).probabilities
    both, image = oof["image + case"], oof["image"]
    found = paired_difference(
        lambda weights: roc_auc(own.positive, both, weights),
        lambda weights: roc_auc(own.positive, image, weights),
        own.patients,
        sides=[own.positive, ~own.positive],
        replicates=REPLICATES,
        seed=seed,
    )
    test = delong_test(own.positive, both, image)
    finished = {arm: fit_logistic(own, own.columns_of(blocks_of(arm)), settings) for arm in ARMS}
    later = {arm: model.probabilities(further) for arm, model in finished.items()}
    aucs = {arm: roc_auc(further.positive, values) for arm, values in later.items()}
    slopes = (
        fit_recalibration(logit(both), own.positive).slope,
        fit_recalibration(logit(later["image + case"]), further.positive).slope,
    )
    if found is None or found.low is None or found.high is None or test is None:
        raise ValueError("expected an interval of each draw")
    return (
        aucs["image + case"] - aucs["image"], found.value, found.low, found.high, test.low, test.high, *slopes,
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--only", type=int, help="number of a scenario, from 0")
    given = parser.parse_args()
    print(
        f"{given.draws} cohorts each, {FOLDS} outer and {INNER_FOLDS} inner folds; AUC of the slide column {_auc(IMAGE):.3f}\n"
        "| patients | case column AUC | missing | true gain | estimated gain | bootstrap holds it | DeLong holds it | "
        "found above 0 | slope, estimated | slope, true |\n|---|" + "---:|" * 9
    )
    for number, scenario in enumerate(SCENARIOS):
        if given.only not in (None, number):
            continue
        rng = np.random.default_rng([7, number])
        rows = np.array([draw(rng, scenario, seed) for seed in range(given.draws)])
        true, value, low, high, other_low, other_high, slope, true_slope = rows.T
        print(
            f"| {scenario.positives} + {scenario.negatives} | {_auc(scenario.case):.3f} | {scenario.missing:.0%} | "
            f"selftest {true.mean():+.3f} | {value.mean():+.3f} (± {value.std():.3f}) | "
            f"{np.mean((low <= true) & (true <= high)):.0%} | {np.mean((other_low <= true) & (true <= other_high)):.0%} | "
            f"{np.mean(low > 0):.0%} | {np.median(slope):.2f} | {np.median(true_slope):.2f} |",
            flush=True,
        )


def _auc(distance: float) -> float:
    """AUC of one normal column."""
    return float(ndtr(distance / np.sqrt(2.0)))


if __name__ == "__main__":
    main()
