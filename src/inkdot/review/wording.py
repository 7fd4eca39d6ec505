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


def score_text(score: float) -> str:
    """A score with three decimals, as the pages write it (``ink.score`` in base.js).

    No score is certain: none is written as 1.000 or 0.000.

    Args:
        score: 0 to 1.
    """
    if score >= 0.9995:
        return ">0.999"
    return "<0.001" if score < 0.0005 else f"{score:.3f}"


def score_cell(score: float) -> str:
    """A score with four decimals for a column that is sorted by numbers; at most 0.9999, at least 0.0001.

    Args:
        score: 0 to 1.
    """
    return f"{min(0.9999, max(0.0001, score)):.4f}"
