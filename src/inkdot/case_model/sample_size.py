"""Whether there are enough patients for a case-level model."""

from typing import Final

import numpy as np

from inkdot.case_model.case_table import CaseTable
from inkdot.case_model.encoding import fit_encoding
from inkdot.case_model.fit import FitSettings
from inkdot.errors import UserError

FEWEST_PATIENTS: Final = 20
"""Of each class: with fewer an outer fold has less than four, and no interval of a gain is of use."""

PATIENTS_PER_TERM: Final = 5
"""Of the rarer class for each term of the largest model (docs/explanation/decisions/0276)."""


def require_enough(table: CaseTable, settings: FitSettings, source: str) -> None:
    """Check that patients of both classes suffice for the columns.

    Args:
        table: All cases with a truth.
        settings: Of the fits.
        source: The table, for the message.

    Raises:
        UserError: They do not; one line says how many are needed.
    """
    positives, negatives = patients_by_class(table)
    terms = len(fit_encoding(table, list(table.blocks), log=settings.log, curves=settings.curves).scales)
    needed = max(FEWEST_PATIENTS, PATIENTS_PER_TERM * terms)
    rarer = min(positives, negatives)
    if rarer >= needed:
        return
    most = rarer // PATIENTS_PER_TERM
    remedy = (
        f"add patients, or name fewer columns (these would do for {most} terms)"
        if rarer >= FEWEST_PATIENTS
        else "add patients"
    )
    raise UserError(
        f"{source}: expected at least {needed} positive and {needed} negative patients for a model of {terms} terms "
        f"({PATIENTS_PER_TERM} of the rarer class per term, at least {FEWEST_PATIENTS}), found {positives} and {negatives}; "
        f"{remedy}"
    )


def patients_by_class(table: CaseTable) -> tuple[int, int]:
    """Number of patients with a positive case, and of the others."""
    positives = len(np.unique(table.patients[table.positive]))
    return positives, len(np.unique(table.patients)) - positives
