"""The published founding case as a row of ``cases.csv``: the worked example of documents, templates and demo."""

import csv
import io
from collections.abc import Mapping
from typing import Final

from inkdot.cases.columns import KNOWN

FOUNDING_CASE: Final[Mapping[str, str]] = {
    "patient_id": "founding-case",
    "cancer_history": "yes",
    "primary_tumour": "cervical large-cell neuroendocrine carcinoma",
    "typical_signs": "yes",
    "mri": "normal",
    "opening_pressure_mmh2o": "250",
    "csf_protein_g_per_l": "0.75",
    "csf_glucose_mmol_per_l": "1.72",
    "csf_chloride_mmol_per_l": "113.9",
    "ihc": "Syn=positive; CD56=positive; p16=positive; CgA=negative; CK5/6=negative; Ki-67=90%",
    "ihc_specimen": "tissue",
    "signed_category": "malignant",
    "signed_by": "published case report",
}
"""Values of the published case; what it does not state (volume, serum glucose, lactate, cells) is left out."""


def worked_example_text(patient_id: str = "founding-case", primary_tumour: str = "") -> str:
    """A ``cases.csv`` with every column and the founding case.

    Args:
        patient_id: Patient that has its values, such as a synthetic one.
        primary_tumour: Text in place of the published tumour, such as where the values are from; empty keeps it.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, KNOWN, restval="", lineterminator="\n")
    writer.writeheader()
    tumour = primary_tumour or FOUNDING_CASE["primary_tumour"]
    writer.writerow({**FOUNDING_CASE, "patient_id": patient_id, "primary_tumour": tumour})
    return buffer.getvalue()
