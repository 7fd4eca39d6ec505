"""Statements on every output. They state limits, never a diagnosis."""

RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."
"""The label required by 21 CFR 809.10(c)(2)(i), verbatim."""

FOOTER = (
    "Research use only. Not a diagnosis. A result of 'nothing flagged' does not exclude malignancy. "
    "Review by a qualified cytopathologist of the glass slide or full image is required."
)

WHEN_UNCERTAIN = (
    "The regions shown are intended to aid. If there is uncertainty, direct examination of the glass slide "
    "by light microscopy should be performed."
)

SYNTHETIC_MODEL = (
    "The model was trained on synthetic specimens. "
    "Its scores mean nothing for real slides and must not be used on them."
)

SYNTHETIC_SLIDE = "Synthetic slide: made by a program, not scanned."

NOTHING_FLAGGED = "nothing flagged"
FLAGGED = "flagged"
INADEQUATE = "inadequate"
NOT_ANALYSED = "not analysed"
