"""What is known of a patient or specimen beside the slide: a row of ``cases.csv``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from inkdot.cases.columns import Biopsy, Category, IhcSpecimen, MriFinding, PunctureSite, Treatment, YesNo

_NUMBER: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)

IhcStain = Literal["negative", "positive", "not_done", "percent"]
"""Result of one stain; ``percent`` where a share of stained cells is given instead of a word."""


@dataclass(frozen=True, slots=True)
class IhcResult:
    """One marker of an immunohistochemical panel, as a person read it.

    Attributes:
        marker: Name in the usual short form, such as ``CgA``.
        stain: Result.
        percent: Stained cells in percent, 0 to 100; None unless ``stain`` is ``percent``.
    """

    marker: str
    stain: IhcStain
    percent: float | None = None

    @property
    def words(self) -> str:
        """The result for people, such as ``positive`` or ``90 %``."""
        return self.stain.replace("_", " ") if self.percent is None else f"{self.percent:g} %"


@dataclass(frozen=True, slots=True)
class SignedCategory:
    """The category of a cytology report that a person signed. Nothing computed makes one: it is read from ``cases.csv`` alone.

    Attributes:
        category: The category.
        signed_by: Who signed it; a pseudonym is enough.

    Raises:
        ValueError: Nobody signed it.
    """

    category: Category
    signed_by: str

    def __post_init__(self) -> None:
        if not self.signed_by.strip():
            raise ValueError("expected who signed the category, found nothing")


@dataclass(frozen=True, slots=True)
class Case:
    """A row of ``cases.csv``. Names and units are those of the columns; None and empty values mean unknown.

    Attributes:
        where: File and line, for messages.
        patient_id: Patient.
        specimen_id: Specimen; empty where the row is about the patient as a whole.
        ihc: The panel by marker, in the order of the table.
        treatment: Earlier treatments; empty where unknown.
        signed_category: The pathologist's category.
        extra: Text of the free columns by name; may name patients, so it is never shown.
    """

    where: str
    patient_id: str
    specimen_id: str = ""
    volume_ml: float | None = None
    minutes_to_processing: float | None = None
    tap_number: float | None = None
    csf_protein_g_per_l: float | None = None
    csf_glucose_mmol_per_l: float | None = None
    serum_glucose_mmol_per_l: float | None = None
    csf_lactate_mmol_per_l: float | None = None
    csf_chloride_mmol_per_l: float | None = None
    csf_cells_per_ul: float | None = None
    opening_pressure_mmh2o: float | None = None
    pdl1_stained_tumour_cells: float | None = None
    pdl1_stained_immune_cells: float | None = None
    pdl1_viable_tumour_cells: float | None = None
    puncture_site: PunctureSite | None = None
    mri: MriFinding | None = None
    typical_signs: YesNo | None = None
    cancer_history: YesNo | None = None
    leptomeningeal_biopsy: Biopsy | None = None
    ihc_specimen: IhcSpecimen | None = None
    primary_tumour: str = ""
    treatment: tuple[Treatment, ...] = ()
    ihc: Mapping[str, IhcResult] = field(default_factory=dict[str, IhcResult])
    signed_category: SignedCategory | None = None
    extra: Mapping[str, str] = field(default_factory=dict[str, str])

    def number(self, column: str) -> float | None:
        """The number of a column of numbers, or of a free column that holds one; None where unknown.

        Args:
            column: Name of the column.

        Raises:
            ValueError: A free column holds text that is no number.
        """
        if column in self.extra:
            text = self.extra[column]
            if text and _NUMBER.fullmatch(text) is None:
                raise ValueError(f"column {column}: expected a number or blank, found {text[:40]!r}")
            return float(text) if text else None
        value = getattr(self, column, None)
        return float(value) if isinstance(value, float | int) else None

    @property
    def glucose_ratio(self) -> float | None:
        """CSF over serum glucose; None where one is unknown."""
        csf, serum = self.csf_glucose_mmol_per_l, self.serum_glucose_mmol_per_l
        return None if csf is None or serum is None else csf / serum
