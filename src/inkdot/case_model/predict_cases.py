"""Probabilities of cases by a finished case-level model, with what speaks against each."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from inkdot.case_model.case_table import CaseTable
from inkdot.case_model.encoding import CategoryColumn, NumberColumn
from inkdot.case_model.evaluate_arms import BOTH
from inkdot.case_model.records import CaseModelFile
from inkdot.storage.tables.predictions import WARNING_SEPARATOR, spreadsheet_safe

COLUMNS: Final = (
    "case",
    "patient_id",
    "probability",
    "low",
    "high",
    "missing",
    "warnings",
    "reason",
    "model_sha256",
)


@dataclass(frozen=True, slots=True)
class CasePrediction:
    """One case.

    Attributes:
        case: Its name.
        patient_id: Its patient.
        probability: Calibrated, of image and case columns; None where there is a reason.
        low, high: 95 % interval of the model: percentiles of refits on draws of training patients; None likewise.
        missing: Columns without a value, which the median or most frequent level of training stands for.
        warnings: Values outside of what was seen in training.
        reason: Why there is no probability.
    """

    case: str
    patient_id: str
    probability: float | None
    low: float | None
    high: float | None
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    reason: str


def predict_cases(model: CaseModelFile, table: CaseTable) -> list[CasePrediction]:
    """Predict every case; one that cannot be predicted has a reason and stops no other."""
    both = model.arms[BOTH]
    # Values of which no logarithm exists, and numbers that grow beyond all bounds, end as a reason below.
    with np.errstate(invalid="ignore", over="ignore"):
        values = both.probabilities(table)
        low = high = values
        if both.replicates:
            low, high = np.quantile(both.replicate_probabilities(table), [0.025, 0.975], axis=0)
    found: list[CasePrediction] = []
    for row in range(len(table)):
        reason = _reason(model, table, row)
        if not reason and not np.isfinite([values[row], low[row], high[row]]).all():
            reason = "the model gives no finite number"
        probability = None if reason else float(values[row])
        missing = tuple(name for name in table.blocks if table.missing(name)[row])
        found.append(
            CasePrediction(
                case=str(table.ids[row]),
                patient_id=str(table.patients[row]),
                probability=probability,
                # A draw may miss a case's own value, and the interval must hold its probability.
                low=None if probability is None else min(float(low[row]), probability),
                high=None if probability is None else max(float(high[row]), probability),
                missing=missing,
                warnings=() if reason else tuple(_warnings(model, table, row)),
                reason=reason,
            )
        )
    return found


def predictions_csv(predictions: Sequence[CasePrediction], model_sha256: str) -> str:
    """The table as CSV text."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for own in predictions:
        numbers = ["" if value is None else f"{value:.4f}" for value in (own.probability, own.low, own.high)]
        texts = [WARNING_SEPARATOR.join(own.missing), WARNING_SEPARATOR.join(own.warnings), own.reason]
        names = [own.case, own.patient_id]
        writer.writerow(
            [*map(spreadsheet_safe, names), *numbers, *map(spreadsheet_safe, texts), model_sha256]
        )
    return buffer.getvalue()


def _reason(model: CaseModelFile, table: CaseTable, row: int) -> str:
    image = [name for name, block in model.blocks.items() if block == "image"]
    if all(table.missing(name)[row] for name in image):
        return f"no value in any of the columns {', '.join(image)}: no slide with a score"
    for name, own in model.columns.items():
        if isinstance(own, CategoryColumn) and not table.missing(name)[row]:
            word = str(table.categories[name][row])
            if word not in (own.reference, *own.levels, *own.rare):
                return f"{name} {word!r} was never seen in training"
        if isinstance(own, NumberColumn) and own.log and table.numbers[name][row] < 0:
            return f"{name} is below 0, and the model takes its logarithm"
    return ""


def _warnings(model: CaseModelFile, table: CaseTable, row: int) -> list[str]:
    found: list[str] = []
    if model.synthetic:
        found.append("the model was trained on synthetic slides: this number means nothing")
    for name, own in model.columns.items():
        if table.missing(name)[row]:
            if not own.indicator:
                found.append(f"{name} is missing, which training hardly ever saw")
        elif isinstance(own, NumberColumn):
            value = float(table.numbers[name][row])
            if not own.low <= value <= own.high:
                found.append(f"{name} {value:g} is outside of the {own.low:g} to {own.high:g} of training")
        elif str(table.categories[name][row]) in own.rare:
            found.append(
                f"{name} {str(table.categories[name][row])!r} was rare in training and counts as {own.reference!r}"
            )
    return found
