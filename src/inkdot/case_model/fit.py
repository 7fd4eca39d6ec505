"""Fits a case-level model: L2-penalised logistic regression whose penalty and calibration come from an inner cross-validation."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from inkdot.case_model.case_table import CaseTable
from inkdot.case_model.encoding import Encoding, fit_encoding
from inkdot.case_model.records import Logistic
from inkdot.datasets.splits.grouped_split import SplitSlide, grouped_folds
from inkdot.errors import UserError
from inkdot.metrics.classification import BoolArray, FloatArray
from inkdot.metrics.recalibration import Recalibration, fit_recalibration, platt_targets

PENALTIES: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Inverse L2 penalties to choose from: the variance that coefficients of standardised terms are expected to have."""

INNER_FOLDS: Final = 5
REFITS: Final = 200

_FLATTEST, _STEEPEST = 0.1, 10.0
"""Limits of the recalibration's slope; without skill the best slope is 0 or below, and no two cases may then tie or swap."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What is fitted and how.

    Attributes:
        log: Columns of which ``log(1 + value)`` is taken.
        curves: Numbers get a restricted cubic spline of three knots.
        inner_folds: Folds that choose the penalty and the calibration.
        seed: Of folds and draws.
        refits: Draws of patients for intervals of coefficients and of predictions.
    """

    log: Sequence[str] = field(default_factory=tuple[str, ...])
    curves: bool = False
    inner_folds: int = INNER_FOLDS
    seed: int = 0
    refits: int = 0


def fit_logistic(table: CaseTable, columns: Sequence[str], settings: FitSettings) -> Logistic:
    """Fit one model to cases with a truth.

    Args:
        table: The training cases, of both classes.
        columns: Columns to use.
        settings: See :class:`FitSettings`.

    Raises:
        UserError: scikit-learn is not installed.
    """
    truth = table.positive
    c, held_out = _choose_penalty(table, columns, settings)
    recalibration = _recalibrate(held_out, truth)
    encoding = fit_encoding(table, columns, log=settings.log, curves=settings.curves)
    design = encoding.design(table)
    bias, coefficients = _ridge(design, truth, c)
    return Logistic(
        encoding=encoding,
        bias=bias,
        coefficients=coefficients.tolist(),
        c=c,
        slope=recalibration.slope,
        intercept=recalibration.intercept,
        replicates=_refits(design, table, c, settings),
    )


def folds_of(table: CaseTable, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Fold of each case from 0, whole patients together, positive ones spread evenly; shape [n].

    A patient with a positive case counts as positive.
    """
    cases = [
        SplitSlide(slide_id=str(row), patient_id=patient, positive=bool(positive))
        for row, (patient, positive) in enumerate(zip(table.patients.tolist(), table.positive, strict=True))
    ]
    found = grouped_folds(cases, folds, seed)
    return np.array([found[str(row)] for row in range(len(cases))], np.int64)


def _choose_penalty(
    table: CaseTable, columns: Sequence[str], settings: FitSettings
) -> tuple[float, FloatArray]:
    """The penalty of lowest log loss on held-out cases, the stronger of equals; and the held-out logits with it."""
    truth, folds = table.positive, folds_of(table, settings.inner_folds, settings.seed)
    margins = np.zeros((len(PENALTIES), len(table)))
    for fold in range(settings.inner_folds):
        held_out = folds == fold
        inner = table.of(~held_out)
        encoding: Encoding = fit_encoding(inner, columns, log=settings.log, curves=settings.curves)
        design, others = encoding.design(inner), encoding.design(table.of(held_out))
        for index, c in enumerate(PENALTIES):
            bias, coefficients = _ridge(design, inner.positive, c)
            margins[index, held_out] = bias + others @ coefficients
    losses = (np.logaddexp(0.0, margins) - truth * margins).mean(axis=1)
    best = int(losses.argmin())
    return PENALTIES[best], margins[best]


def _recalibrate(held_out: FloatArray, truth: BoolArray) -> Recalibration:
    targets = platt_targets(truth)
    found = fit_recalibration(held_out, targets)
    slope = min(max(0.0 if math.isnan(found.slope) else found.slope, _FLATTEST), _STEEPEST)
    if slope == found.slope:
        return found
    return Recalibration(slope, _intercept(slope * held_out, targets))


def _intercept(logits: FloatArray, targets: FloatArray) -> float:
    """The shift of the logits by which the mean probability is that of the targets, by bisection."""
    low, high = -60.0, 60.0
    for _ in range(100):
        middle = (low + high) / 2.0
        if float(expit(logits + middle).mean()) < float(targets.mean()):
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _refits(design: FloatArray, table: CaseTable, c: float, settings: FitSettings) -> list[list[float]]:
    """Bias and coefficients on draws of whole patients with replacement; draws of one class are drawn again."""
    generator = np.random.default_rng(settings.seed)
    names, owner = np.unique(table.patients, return_inverse=True)
    found: list[list[float]] = []
    truth = table.positive
    while len(found) < settings.refits:
        drawn = np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))[owner]
        kept = drawn > 0
        if truth[kept].all() or not truth[kept].any():
            continue
        bias, coefficients = _ridge(design[kept], truth[kept], c, drawn[kept].astype(np.float64))
        found.append([bias, *coefficients.tolist()])
    return found


def _ridge(
    design: FloatArray, truth: BoolArray, c: float, weights: FloatArray | None = None
) -> tuple[float, FloatArray]:
    """Bias (not penalised) and coefficients of scikit-learn's logistic regression."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ModuleNotFoundError:
        raise UserError(
            'expected scikit-learn for `inkdot case-model train`, found none; pip install "inkdot[case-model]"'
        ) from None
    model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-6, max_iter=200)
    model.fit(design, truth, sample_weight=weights)
    bias, coefficients = cast("Any", model.intercept_), cast("Any", model.coef_)
    return float(bias[0]), np.asarray(coefficients[0], np.float64)
