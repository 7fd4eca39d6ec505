"""Makes a case-level model: nested cross-validation for what it can do, then a fit to all cases."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from inkdot import __version__
from inkdot.case_model.case_table import ARMS, CaseTable, blocks_of
from inkdot.case_model.evaluate_arms import ArmsEvaluation, evaluate_arms
from inkdot.case_model.fit import FitSettings, fit_logistic
from inkdot.case_model.nested import OutOfFold, nested_cross_validation
from inkdot.case_model.records import CaseModelFile, MissingShare
from inkdot.case_model.sample_size import patients_by_class, require_enough
from inkdot.metrics.intervals.confidence_intervals import Estimate, share_estimate
from inkdot.metrics.intervals.paired_bootstrap import REPLICATES
from inkdot.storage.models.model_records import Interval


def make_case_model(
    table: CaseTable,
    settings: FitSettings,
    *,
    truth: str,
    source: Path,
    folds: int = 5,
    replicates: int = REPLICATES,
) -> tuple[CaseModelFile, OutOfFold, ArmsEvaluation]:
    """Cross-validate all arms and fit them to all cases.

    Args:
        table: Cases with a truth.
        settings: Of the fits.
        truth: Where the truth came from, for the file.
        source: File of the cases, for messages and the report.
        folds: Outer folds.
        replicates: Draws of patients for differences.

    Returns:
        The model, the out-of-fold probabilities, and their evaluation.

    Raises:
        UserError: There are too few patients for the columns.
    """
    require_enough(table, settings, str(source))
    oof = nested_cross_validation(table, settings, folds=folds)
    evaluation = evaluate_arms(
        table, oof.probabilities, source, folds=oof.folds, seed=settings.seed, replicates=replicates
    )
    model = CaseModelFile(
        inkdot=__version__,
        synthetic=table.synthetic,
        truth=truth,
        prevalence=float(table.positive.mean()),
        cases=len(table),
        patients=len(np.unique(table.patients)),
        positive_patients=patients_by_class(table)[0],
        blocks=dict(table.blocks),
        outer_folds=folds,
        inner_folds=settings.inner_folds,
        seed=settings.seed,
        missing=list(missing_shares(table)),
        cross_validation={
            arm: {name: _interval(value) for name, value in evaluation.metrics_of(arm).items()}
            for arm in ARMS
        },
        arms={arm: fit_logistic(table, table.columns_of(blocks_of(arm)), settings) for arm in ARMS},
    )
    return model, oof, evaluation


def missing_shares(table: CaseTable) -> Iterator[MissingShare]:
    """Share of cases without a value, per column that has any missing."""
    for column in table.blocks:
        missing = table.missing(column)
        if missing.any():
            yield MissingShare(
                column=column, positive=_share(table, missing, True), negative=_share(table, missing, False)
            )


def _share(table: CaseTable, missing: np.ndarray, positive: bool) -> Interval:
    rows = table.positive == positive
    found = share_estimate(missing[rows], table.patients[rows])
    if found is None:
        raise ValueError("expected cases of both classes")
    return _interval(found)


def _interval(own: Estimate) -> Interval:
    return Interval(value=own.value, low=own.low, high=own.high, method=own.method)
