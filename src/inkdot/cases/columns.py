"""The columns of ``cases.csv``: their units, the values that can be, and the units that they are mistaken for."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

MriFinding = Literal["linear", "nodular", "both", "hydrocephalus_only", "equivocal", "normal", "not_done"]
"""Leptomeningeal finding of MRI, in the steps of EANO-ESMO 2023 (PMC10619142, table 1)."""

Treatment = Literal["intrathecal", "radiation", "shunt", "surgery", "none"]
"""Earlier treatment that can change cells; ``none``: none of the others."""

Category = Literal["nondiagnostic", "negative", "atypical", "suspicious", "malignant"]
"""Category of a cytology report, in the five steps of the International System for serous fluid cytology."""

Biopsy = Literal["positive", "negative", "not_done"]
"""Result of a leptomeningeal biopsy."""

YesNo = Literal["yes", "no"]
PunctureSite = Literal["lumbar", "ventricular", "cisternal", "shunt"]
IhcSpecimen = Literal["tissue", "cell_block"]


@dataclass(frozen=True, slots=True)
class OtherUnit:
    """A unit that a value is often written in by mistake.

    Attributes:
        unit: The unit.
        factor: What a number in it is multiplied by to have the unit of the column.
    """

    unit: str
    factor: float


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A column of numbers.

    Attributes:
        name: Name, which ends in the unit.
        label: Name for people.
        unit: Unit; empty for a plain count.
        lowest: Smallest number that can be; a smaller one is refused.
        highest: Largest number that can be; a larger one is refused.
        usual: Range outside which a number is possible but worth a second look: a warning.
        others: Units that it is mistaken for.
        whole: Whether only whole numbers can be.

    The limits are wide, to find slips of the unit. They are no reference ranges.
    """

    name: str
    label: str
    unit: str
    lowest: float
    highest: float
    usual: tuple[float, float]
    others: tuple[OtherUnit, ...] = ()
    whole: bool = False


_GLUCOSE_MG_PER_DL: Final = OtherUnit("mg/dL", 1 / 18.016)
_MOST_CELLS: Final = 10_000_000

NUMBER_COLUMNS: Final[tuple[NumberColumn, ...]] = (
    NumberColumn("volume_ml", "Volume", "mL", 0.05, 100, (0.5, 60), (OtherUnit("µL", 1e-3),)),
    NumberColumn(
        "minutes_to_processing", "Time to processing", "min", 0, 20_160, (2, 4_320), (OtherUnit("h", 60.0),)
    ),
    NumberColumn("tap_number", "Tap", "", 1, 100, (1, 20), whole=True),
    NumberColumn(
        "csf_protein_g_per_l", "CSF protein", "g/L", 0.05, 20, (0.1, 5),
        (OtherUnit("mg/dL", 0.01), OtherUnit("mg/L", 0.001)),
    ),
    NumberColumn("csf_glucose_mmol_per_l", "CSF glucose", "mmol/L", 0, 25, (0.1, 10), (_GLUCOSE_MG_PER_DL,)),
    NumberColumn("serum_glucose_mmol_per_l", "Serum glucose", "mmol/L", 0.5, 55, (2, 30), (_GLUCOSE_MG_PER_DL,)),
    NumberColumn(
        "csf_lactate_mmol_per_l", "CSF lactate", "mmol/L", 0.2, 30, (0.5, 8), (OtherUnit("mg/dL", 1 / 9.008),)
    ),
    NumberColumn(
        "csf_chloride_mmol_per_l", "CSF chloride", "mmol/L", 60, 180, (90, 140), (OtherUnit("mg/dL", 1 / 3.545),)
    ),
    NumberColumn("csf_cells_per_ul", "CSF cells", "cells/µL", 0, 100_000, (0, 5_000), (OtherUnit("cells/L", 1e-6),)),
    NumberColumn(
        "opening_pressure_mmh2o", "Opening pressure", "mmH2O", 0, 1_000, (60, 600),
        (OtherUnit("cmH2O", 10.0), OtherUnit("mmHg", 13.595)),
    ),
    NumberColumn("pdl1_stained_tumour_cells", "PD-L1 stained tumour cells", "", 0, _MOST_CELLS, (0, _MOST_CELLS), whole=True),
    NumberColumn("pdl1_stained_immune_cells", "PD-L1 stained immune cells", "", 0, _MOST_CELLS, (0, _MOST_CELLS), whole=True),
    NumberColumn("pdl1_viable_tumour_cells", "PD-L1 viable tumour cells", "", 1, _MOST_CELLS, (1, _MOST_CELLS), whole=True),
)  # fmt: skip
"""All columns of numbers, in display order."""

CHOICE_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "puncture_site": get_args(PunctureSite),
    "mri": get_args(MriFinding),
    "typical_signs": get_args(YesNo),
    "cancer_history": get_args(YesNo),
    "leptomeningeal_biopsy": get_args(Biopsy),
    "ihc_specimen": get_args(IhcSpecimen),
    "signed_category": get_args(Category),
}
"""Columns of one word each, and their words."""

TREATMENTS: Final[tuple[str, ...]] = get_args(Treatment)
REQUIRED: Final = ("patient_id",)
TEXT_COLUMNS: Final = ("specimen_id", "primary_tumour", "signed_by")
LIST_COLUMNS: Final = ("treatment", "ihc")
KNOWN: Final = (
    *REQUIRED, *TEXT_COLUMNS, *LIST_COLUMNS, *CHOICE_COLUMNS, *(column.name for column in NUMBER_COLUMNS),
)  # fmt: skip
"""Every column with a meaning; others are free: they are kept for models of the user and never shown."""
