"""Names that were probably meant to be the same: patients written in two ways, and free columns like a known one."""

import re
from collections.abc import Sequence

from inkdot.cases.case_record import Case
from inkdot.cases.columns import KNOWN, NUMBER_COLUMNS

_UNIT = re.compile(r"_(g|mg|mmol|ml|ul|mm|cm|mmh2o|cmh2o|mmhg|per|dl|l)(?=_|$)")


def plain_name(name: str) -> str:
    """A name without capitals, spaces and punctuation, by which two spellings of one patient are found."""
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def similar_patients(cases: Sequence[Case]) -> list[str]:
    """One line on each row whose patient differs from an earlier one only in capitals, spaces or punctuation.

    Args:
        cases: The rows.
    """
    first: dict[str, Case] = {}
    lines: list[str] = []
    told = set[str]()
    for case in cases:
        earlier = first.setdefault(plain_name(case.patient_id), case)
        if case.patient_id and case.patient_id not in {earlier.patient_id, *told}:
            told.add(case.patient_id)
            lines.append(
                f"{case.where}: column patient_id: {case.patient_id!r} differs from {earlier.patient_id!r} of line "
                f"{earlier.where.rpartition('line ')[2]} only in capitals, spaces or punctuation; if it is the same patient, "
                "write it the same way"
            )
    return lines


def similar_columns(columns: Sequence[str]) -> list[tuple[str, str]]:
    """Free columns whose name is that of a column with a unit, without or with another unit; and the column that was meant.

    Args:
        columns: The header.
    """
    meant = {_without_unit(column.name): column.name for column in NUMBER_COLUMNS if column.unit}
    return [
        (name, meant[stem])
        for name in columns
        if name not in KNOWN and (stem := _without_unit(name)) in meant and meant[stem] not in columns
    ]


def _without_unit(name: str) -> str:
    return _UNIT.sub("", "_".join(re.findall(r"[a-z0-9]+", name.casefold())))
