"""What speaks against columns of a case-level model before it is fitted: nothing in them, or the truth in another form."""

from typing import Final

import numpy as np

from inkdot.case_model.case_table import CaseTable
from inkdot.case_model.encoding import FEWEST_OF_A_TERM
from inkdot.metrics.classification import BoolArray

_FEWEST: Final = FEWEST_OF_A_TERM
"""Known values of each class below which a split shows nothing."""


def column_notes(table: CaseTable) -> list[str]:
    """One line on each column that has fewer than two values, or whose values tell the classes apart without an error.

    Args:
        table: Cases with a truth.
    """
    return [note for name in table.blocks if (note := _note(table, name))]


def _note(table: CaseTable, name: str) -> str:
    known = ~table.missing(name)
    values = table.numbers[name] if name in table.numbers else table.categories[name]
    if len(np.unique(values[known])) < 2:
        return (
            f"Column {name} has {'one value' if known.any() else 'no value'} in all cases: it says nothing."
        )
    positive = known & table.positive
    negative = known & ~table.positive
    counts = int(positive.sum()), int(negative.sum())
    if min(counts) == 0 and max(counts) >= _FEWEST:
        return f"Column {name} is known in one class alone: being measured may be the truth in another form; leave it out."
    if min(counts) >= _FEWEST and _apart(values, positive, negative):
        return (
            f"Column {name} alone tells all positive cases from all negative ones: it may be the truth in another form, or known "
            "only after it; leave it out if so."
        )
    return ""


def _apart(values: np.ndarray, positive: BoolArray, negative: BoolArray) -> bool:
    own, others = values[positive], values[negative]
    if values.dtype.kind == "U":
        return not np.isin(own, others).any()
    return bool(own.min() > others.max() or own.max() < others.min())
