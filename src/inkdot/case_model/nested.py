"""Nested cross-validation by patient: every case is scored by models that saw none of its patient in any step."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from inkdot.case_model.case_table import ARMS, Arm, CaseTable, blocks_of
from inkdot.case_model.fit import FitSettings, fit_logistic, folds_of
from inkdot.metrics.classification import FloatArray


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Probabilities of each case by models that were trained without its patient.

    Attributes:
        folds: Outer fold of each case, from 0, shape [n].
        probabilities: By arm, shape [n] each.
        penalties: The inverse penalty that each outer fold chose, by arm.
    """

    folds: npt.NDArray[np.int64]
    probabilities: Mapping[Arm, FloatArray]
    penalties: Mapping[Arm, list[float]]


def nested_cross_validation(table: CaseTable, settings: FitSettings, *, folds: int = 5) -> OutOfFold:
    """Score every case out of fold, by each arm on the same folds.

    Imputation, scaling, curves, penalty and calibration are learned inside of each outer training part, the last two by an inner
    cross-validation.

    Args:
        table: Cases with a truth.
        settings: Of the fits.
        folds: Outer folds.
    """
    outer = folds_of(table, folds, settings.seed)
    probabilities: dict[Arm, FloatArray] = {arm: np.full(len(table), np.nan) for arm in ARMS}
    penalties: dict[Arm, list[float]] = {arm: [] for arm in ARMS}
    for fold in range(folds):
        held_out = outer == fold
        training, others = table.of(~held_out), table.of(held_out)
        # Another seed: inner folds that repeat the outer ones would leave one of them empty of some patients.
        own = replace(settings, seed=settings.seed + fold + 1, refits=0)
        for arm in ARMS:
            model = fit_logistic(training, table.columns_of(blocks_of(arm)), own)
            probabilities[arm][held_out] = model.probabilities(others)
            penalties[arm].append(model.c)
    return OutOfFold(outer, probabilities, penalties)
