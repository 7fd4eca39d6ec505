"""Reads numbers of ``cases.csv`` and says which unit was probably meant where one cannot be."""

import re
from typing import Final

from inkdot.cases.columns import NumberColumn, OtherUnit

_NUMBER: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
_WITH_COMMA: Final = re.compile(r"[0-9]+,[0-9]+", re.ASCII)
_WITH_UNIT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zµμ][a-z0-9µμ/^]*)", re.IGNORECASE)
_COUNT_IN_THIRDS: Final = re.compile(r"([0-9]{1,6})\s*/\s*3")
_LONGEST_SHOWN: Final = 40
_LARGEST_RATIO: Final = 1.5
"""CSF over serum glucose; above it one of the two has another unit."""


class CellError(ValueError):
    """A cell that cannot be used; the text says what was expected, found, and what to change."""


def number_in(column: NumberColumn, text: str) -> float | None:
    """The number of a cell; None where it is blank.

    Args:
        column: The column.
        text: The cell.

    Raises:
        CellError: It is not a plain number, is outside the limits of the column, or is not whole where it must be.
    """
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise CellError(
            f"expected a number{_in_unit(column)} or blank, found {shown(text)}{_hint(column, text)}"
        )
    value = float(text)
    if column.whole and value != int(value):
        raise CellError(f"expected a whole number or blank, found {text}; correct it")
    if not column.lowest <= value <= column.highest:
        raise CellError(
            f"expected {column.lowest:g} to {column.highest:g}{_in_unit(column)}, found {value:g}"
            f"{_meant(column, value) or '; correct it'}"
        )
    return value


def second_look(column: NumberColumn, value: float) -> str:
    """Why a possible number is worth a second look; empty where it is not.

    Args:
        column: The column.
        value: Its number.
    """
    if column.usual[0] <= value <= column.usual[1] or (value == 0 and column.lowest == 0):
        return ""
    usual = f"usually {column.usual[0]:g} to {column.usual[1]:g}{_in_unit(column)}"
    return f"{value:g} is possible, {usual}{_meant(column, value) or '; check it'}"


def glucose_mixed_up(csf: float | None, serum: float | None) -> str:
    """Why two glucose values cannot have the same unit; empty where they can.

    Args:
        csf: CSF glucose, mmol/L.
        serum: Serum glucose, mmol/L.
    """
    if csf is None or serum is None or csf <= _LARGEST_RATIO * serum:
        return ""
    return (
        f"expected at most {_LARGEST_RATIO:g} times the serum glucose ({serum:g}), found {csf:g}; is one of them in mg/dL, "
        "or are they exchanged?"
    )


def shown(text: str) -> str:
    """Text of a cell for a message: quoted and short."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…")


def _in_unit(column: NumberColumn) -> str:
    return f" {column.unit}" if column.unit else ""


def _meant(column: NumberColumn, value: float) -> str:
    """The units in which a number would be usual."""
    fitting = [
        f"{other.unit} ({value * other.factor:.3g} {column.unit})"
        for other in column.others
        if column.usual[0] <= value * other.factor <= column.usual[1]
    ]
    return f"; is it in {' or '.join(fitting)}?" if fitting else ""


def _hint(column: NumberColumn, text: str) -> str:
    if _WITH_COMMA.fullmatch(text):
        return "; write a decimal point"
    if text[:1] in "<>≤≥":
        return "; beyond a limit of detection: write the limit, and the sign in a free column"
    if (thirds := _COUNT_IN_THIRDS.fullmatch(text)) and column.name == "csf_cells_per_ul":
        return f"; a count of a Fuchs-Rosenthal chamber: write {int(thirds[1]) / 3:.3g}"
    if found := _WITH_UNIT.fullmatch(text):
        return _converted(column, float(found[1]), found[2])
    return "; correct it"


def _converted(column: NumberColumn, value: float, unit: str) -> str:
    plain = unit.casefold().replace("μ", "µ")
    for known in (OtherUnit(column.unit, 1.0), *column.others):
        if known.unit and plain == known.unit.casefold():
            return f"; the unit is in the name of the column: write {value * known.factor:.3g}"
    return f"; write the number alone, in {column.unit}" if column.unit else "; write the number alone"
