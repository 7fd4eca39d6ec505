"""Compares the arms of a case-level model on the same patients: metrics, gains, DeLong's test and calibration."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from inkdot.case_model.case_table import ARMS, Arm, CaseTable
from inkdot.evaluation.comparison.compare_models import compare_models
from inkdot.evaluation.comparison.comparison import Comparison
from inkdot.evaluation.comparison.scored_table import ScoredTable, slide_table
from inkdot.labels import Head
from inkdot.metrics.classification import FloatArray
from inkdot.metrics.intervals.confidence_intervals import (
    BOOTSTRAP,
    TOO_FEW,
    Estimate,
    patient_bootstrap,
    too_few_patients,
)
from inkdot.metrics.intervals.delong import AucDifference
from inkdot.metrics.intervals.paired_bootstrap import REPLICATES, Difference, Statistic
from inkdot.metrics.recalibration import fit_recalibration
from inkdot.storage.models.slide_score_rule import logits

CASE_HEAD: Final = Head("case", ("negative", "positive"), {}, flag_class="positive")
BOTH: Final[Arm] = "image + case"
SELFTEST: Final = "selftest_"


@dataclass(frozen=True, slots=True)
class Gain:
    """What a model of both blocks gains over one of a single block.

    Attributes:
        over: The arm of the single block.
        differences: Of both less that arm, by metric; None where undefined.
        delong: DeLong's test of the AUC; None where the difference has no variance.
        p_holm: Its p-value adjusted for the two tests.
    """

    over: Arm
    differences: Mapping[str, Difference | None]
    delong: AucDifference | None
    p_holm: float | None


@dataclass(frozen=True, slots=True)
class ArmsEvaluation:
    """All arms on the same cases.

    Attributes:
        comparison: Metrics of all arms, and differences to both blocks together.
        gains: Of both blocks over each alone.
        calibration: Slope and intercept by arm, with intervals; None where undefined.
    """

    comparison: Comparison
    gains: list[Gain]
    calibration: Mapping[Arm, Mapping[str, Estimate | None]]

    def metrics_of(self, arm: Arm) -> dict[str, Estimate]:
        """Every metric of an arm that is defined, by name."""
        index = [table.name for table in self.comparison.tables].index(arm)
        found = {own.name: own.values[index] for own in self.comparison.metrics} | dict(self.calibration[arm])
        return {name: value for name, value in found.items() if value is not None}


def evaluate_arms(
    table: CaseTable,
    probabilities: Mapping[Arm, FloatArray],
    source: Path,
    *,
    folds: npt.NDArray[np.int64] | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> ArmsEvaluation:
    """Compare the arms.

    Args:
        table: The cases, with a truth.
        probabilities: By arm, of cases that it was not trained on, shape [n].
        source: File of the cases, for the report.
        folds: Outer fold of each case from 0, shape [n]; None where one model scored all.
        seed: Of the bootstrap.
        replicates: Draws of patients for differences.
    """
    order: tuple[Arm, ...] = (BOTH, *(arm for arm in ARMS if arm != BOTH))
    tables = [_scored(table, arm, probabilities[arm], source, folds) for arm in order]
    whole = compare_models(tables, seed=seed, replicates=replicates)
    prefix = SELFTEST if table.synthetic else ""
    gains = [
        Gain(
            arm,
            {prefix + own.name: _negated(own.differences[index]) for own in whole.metrics},
            _negated_test(whole.auc_tests[index]),
            whole.adjusted[index],
        )
        for index, arm in enumerate(order[1:])
    ]
    named = replace(whole, metrics=[replace(own, name=prefix + own.name) for own in whole.metrics])
    calibration: dict[Arm, dict[str, Estimate | None]] = {
        arm: {
            f"{prefix}{name}": value for name, value in _calibration(table, probabilities[arm], seed).items()
        }
        for arm in ARMS
    }
    return ArmsEvaluation(named, gains, calibration)


def _scored(
    table: CaseTable, arm: Arm, probabilities: FloatArray, source: Path, folds: npt.NDArray[np.int64] | None
) -> ScoredTable:
    rows = [
        (name, patient, float(positive), float(score), None)
        for name, patient, positive, score in zip(
            table.ids.tolist(),
            table.patients.tolist(),
            table.positive.tolist(),
            probabilities.tolist(),
            strict=True,
        )
    ]
    fold_numbers = None if folds is None else (folds + 1).tolist()
    return replace(slide_table(source, arm, CASE_HEAD, rows, fold_numbers), unit="case")


def _calibration(table: CaseTable, probabilities: FloatArray, seed: int) -> dict[str, Estimate | None]:
    """Calibration slope, and mean probability less the share of positive cases (calibration in the large)."""
    scores, truth = logits(probabilities), table.positive.astype(np.float64)

    def in_the_large(weights: FloatArray) -> float:
        total = float(weights.sum())
        return float(weights @ (probabilities - truth)) / total if total > 0 else math.nan

    return {
        f"calibration_slope.{CASE_HEAD.name}": _unbounded(
            lambda weights: fit_recalibration(scores, truth, weights).slope, table, seed
        ),
        f"mean_probability_less_prevalence.{CASE_HEAD.name}": _unbounded(in_the_large, table, seed),
    }


def _unbounded(statistic: Statistic, table: CaseTable, seed: int) -> Estimate | None:
    value = statistic(np.ones(len(table)))
    if math.isnan(value):
        return None
    sides = (table.patients[table.positive], table.patients[~table.positive])
    interval = None
    if not any(too_few_patients(side) for side in sides):
        interval = patient_bootstrap(statistic, table.patients, seed=seed)
    if interval is None:
        return Estimate(value, value, value, TOO_FEW)
    return Estimate(value, *interval, BOOTSTRAP)


def _negated(own: Difference | None) -> Difference | None:
    # Taken from 0.0, since the negative of 0.0 would be printed as -0.000.
    if own is None or own.low is None or own.high is None:
        return None if own is None else replace(own, value=0.0 - own.value)
    return replace(own, value=0.0 - own.value, low=0.0 - own.high, high=0.0 - own.low)


def _negated_test(own: AucDifference | None) -> AucDifference | None:
    return (
        None
        if own is None
        else replace(own, value=0.0 - own.value, low=0.0 - own.high, high=0.0 - own.low, z=0.0 - own.z)
    )
