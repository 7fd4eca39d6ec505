"""Reads ``cases.csv``: strict, with one line for every cell that cannot be or has another unit than its column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from inkdot.cases.case_record import Case, SignedCategory
from inkdot.cases.columns import (
    CHOICE_COLUMNS,
    KNOWN,
    NUMBER_COLUMNS,
    REQUIRED,
    TREATMENTS,
    Category,
    Treatment,
)
from inkdot.cases.ihc_panel import panel_in
from inkdot.cases.similar_names import similar_columns, similar_patients
from inkdot.cases.unit_checks import CellError, glucose_mixed_up, number_in, second_look, shown
from inkdot.errors import ManifestError
from inkdot.manifest.csv_table import CsvRow, read_csv

CASES_NAME: Final = "cases.csv"
_LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class CheckedCases:
    """A table with everything that was found in it.

    Attributes:
        cases: The rows, in the order of the table; a cell with an error counts as unknown.
        errors: One line per cell that cannot be used.
        warnings: One line per cell that is possible but unusual.
    """

    cases: tuple[Case, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Notes:
    errors: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])


def read_cases(path: Path) -> tuple[Case, ...]:
    """Read ``cases.csv``.

    Args:
        path: The table: UTF-8, commas, one row per specimen or patient. Only the column ``patient_id`` is required.

    Returns:
        The rows in the order of the table.

    Raises:
        ManifestError: The file is no such table, or a cell cannot be used: the message names the first one and how many more
            there are. :func:`check_cases` lists all.
    """
    checked = check_cases(path)
    if checked.errors:
        more = len(checked.errors) - 1
        rest = f" (and {more} more: `inkdot case check` lists them)" if more else ""
        raise ManifestError(checked.errors[0] + rest)
    return checked.cases


def check_cases(path: Path) -> CheckedCases:
    """Read ``cases.csv`` and collect what is wrong or unusual in its cells.

    Args:
        path: The table.

    Raises:
        ManifestError: The file is missing or is not a table with the column ``patient_id``; a column differs from a known one
            only in its spelling, or two rows are about the same specimen.
    """
    table = read_csv(path, REQUIRED, KNOWN, missing_hint="correct the path of the cases")
    notes = _Notes()
    cases = tuple(_case(row, notes) for row in table.rows)
    _check_unique(cases, notes)
    notes.warnings += similar_patients(cases)
    notes.warnings += [
        f"{path}: column {name}: free, so neither checked nor shown, since its name is not {meant}; rename it if that is meant"
        for name, meant in similar_columns(table.columns)
    ]
    return CheckedCases(cases, tuple(notes.errors), tuple(notes.warnings))


def _case(row: CsvRow, notes: _Notes) -> Case:
    cells = row.cells
    if not cells["patient_id"]:
        notes.errors.append(
            f"{row.where}: column patient_id: expected a pseudonym, found nothing; fill it in"
        )
    numbers = _numbers(row, notes)
    choices = {name: _choice(row, name, words, notes) for name, words in CHOICE_COLUMNS.items()}
    category = choices.pop("signed_category")
    return Case(
        where=row.where,
        patient_id=_text(row, "patient_id", notes),
        specimen_id=_text(row, "specimen_id", notes),
        primary_tumour=_text(row, "primary_tumour", notes),
        treatment=_treatment(row, notes),
        ihc=_panel(row, notes),
        signed_category=_signed(row, category, notes),
        extra={name: text for name, text in cells.items() if name not in KNOWN},
        **cast(
            "Mapping[str, Any]", {**numbers, **choices}
        ),  # names of columns are those of fields: a test holds them together
    )


def _numbers(row: CsvRow, notes: _Notes) -> dict[str, float | None]:
    numbers: dict[str, float | None] = {}
    for column in NUMBER_COLUMNS:
        value = None
        try:
            value = number_in(column, row.cells.get(column.name, ""))
        except CellError as error:
            notes.errors.append(_line(row, column.name, str(error)))
        numbers[column.name] = value
        if value is not None and (doubt := second_look(column, value)):
            notes.warnings.append(_line(row, column.name, doubt))
    csf = "csf_glucose_mmol_per_l"
    if doubt := glucose_mixed_up(numbers[csf], numbers["serum_glucose_mmol_per_l"]):
        notes.errors.append(_line(row, csf, doubt))
        numbers[csf] = numbers["serum_glucose_mmol_per_l"] = None
    stained, viable = numbers["pdl1_stained_tumour_cells"], numbers["pdl1_viable_tumour_cells"]
    if stained is not None and viable is not None and stained > viable:
        notes.errors.append(
            _line(
                row,
                "pdl1_stained_tumour_cells",
                f"expected at most the viable tumour cells ({viable:g}), found {stained:g}; correct one",
            )
        )
        numbers["pdl1_stained_tumour_cells"] = None
    return numbers


def _choice(row: CsvRow, name: str, words: Sequence[str], notes: _Notes) -> str | None:
    text = row.cells.get(name, "")
    if not text or text in words:
        return text or None
    notes.errors.append(
        _line(row, name, f"expected {', '.join(words)} or blank, found {shown(text)}; correct it")
    )
    return None


def _text(row: CsvRow, name: str, notes: _Notes) -> str:
    text = row.cells.get(name, "")
    if len(text) <= _LONGEST_TEXT and text.isprintable():
        return text
    notes.errors.append(
        _line(
            row,
            name,
            f"expected one line of at most {_LONGEST_TEXT} characters, found {shown(text)}; shorten it",
        )
    )
    return ""


def _treatment(row: CsvRow, notes: _Notes) -> tuple[Treatment, ...]:
    words = [word.strip() for word in row.cells.get("treatment", "").split(";") if word.strip()]
    unknown = [word for word in words if word not in TREATMENTS]
    if unknown:
        listed = ", ".join(TREATMENTS)
        notes.errors.append(
            _line(
                row,
                "treatment",
                f"expected {listed} (several with semicolons), found {shown(unknown[0])}; correct it",
            )
        )
        return ()
    if "none" in words and len(words) > 1:
        notes.errors.append(
            _line(row, "treatment", "expected none alone, found it beside others; remove one")
        )
        return ()
    return cast("tuple[Treatment, ...]", tuple(dict.fromkeys(words)))


def _panel(row: CsvRow, notes: _Notes) -> Mapping[str, Any]:
    try:
        return panel_in(row.cells.get("ihc", ""))
    except CellError as error:
        notes.errors.append(_line(row, "ihc", str(error)))
        return {}


def _signed(row: CsvRow, category: str | None, notes: _Notes) -> SignedCategory | None:
    signed_by = _text(row, "signed_by", notes)
    if category is None:
        return None
    if not signed_by:
        notes.errors.append(
            _line(
                row, "signed_by", "expected who signed the category (a pseudonym), found nothing; fill it in"
            )
        )
        return None
    return SignedCategory(cast(Category, category), signed_by)


def _check_unique(cases: Sequence[Case], notes: _Notes) -> None:
    seen: dict[tuple[str, str], Case] = {}
    for case in cases:
        first = seen.setdefault((case.patient_id, case.specimen_id), case)
        if first is not case and case.patient_id:
            name = f"specimen {case.specimen_id!r} of " if case.specimen_id else ""
            line = first.where.rpartition("line ")[2]
            notes.errors.append(
                f"{case.where}: column specimen_id: expected one row for {name}patient {case.patient_id!r}, found another in "
                f"line {line}; remove one, or tell the specimens apart"
            )


def _line(row: CsvRow, column: str, text: str) -> str:
    return f"{row.where}: column {column}: {text}"
