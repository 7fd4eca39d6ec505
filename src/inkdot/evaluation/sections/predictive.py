"""What a call means where the model will be used: predictive values at stated prevalences."""

from collections.abc import Sequence
from dataclasses import asdict

from inkdot.evaluation.report import Confusion, Section, Table
from inkdot.evaluation.report_parts import estimate_text, matrix_table, percent
from inkdot.metrics.predictive_values import Counts, PredictiveValues, predictive_values

_OF = 1000


def threshold_section(
    counts: Counts,
    calls: Confusion,
    prevalences: Sequence[float],
    *,
    threshold: float,
    patients: str,
    unit: str,
    prefix: str,
) -> tuple[Section, list[dict[str, object]]]:
    """Calls at the locked threshold, and their predictive values.

    Args:
        counts: Calls of patients (or groups) by truth.
        calls: Calls of slides (or images) by truth.
        prevalences: Stated by the user.
        threshold: The locked operating point.
        patients: What is counted, in plural.
        unit: What ``calls`` are of, in plural.
        prefix: Before the names of metrics.

    Returns:
        The section, and the key ``predictive_values`` of the JSON file.
    """
    share = counts.positives / max(1, counts.positives + counts.negatives)
    asked = [(f"{percent(share)} (this test set)", share)] if 0.0 < share < 1.0 else []
    asked += [(percent(own), own) for own in prevalences]
    found = [(name, predictive_values(counts, own)) for name, own in asked]
    rows = [_row(name, own) for name, own in found if own is not None]
    notes = _notes(counts, threshold, patients, stated=bool(prevalences), computed=bool(rows))
    section = Section(
        anchor="threshold",
        question="What does a call at the locked threshold mean?",
        notes=notes,
        tables=[
            Table(
                f"Predictive values of {patients} by prevalence, with 95 % intervals",
                [
                    "prevalence",
                    f"{prefix}PPV",
                    f"{prefix}NPV",
                    f"flagged of {_OF:,}",
                    "of these positive",
                    "missed",
                ],
                rows,
            ),
            matrix_table(calls, f"Calls of {unit}", "truth \\ call"),
        ],
    )
    return section, [
        {
            "prevalence": own.prevalence,
            "of_this_test_set": index == 0 and len(asked) > len(prevalences),
            f"{prefix}ppv": asdict(own.ppv),
            f"{prefix}npv": asdict(own.npv),
            f"{prefix}share_flagged": own.flagged,
            f"{prefix}share_missed": own.missed,
        }
        for index, (_, own) in enumerate(found)
        if own is not None
    ]


def _row(name: str, own: PredictiveValues) -> list[str]:
    flagged, missed = _OF * own.flagged, _OF * own.missed
    return [
        name,
        estimate_text(own.ppv),
        estimate_text(own.npv),
        f"{flagged:.0f}",
        f"{_OF * own.prevalence - missed:.1f}",
        f"{missed:.1f}",
    ]


def _notes(counts: Counts, threshold: float, patients: str, *, stated: bool, computed: bool) -> list[str]:
    notes = [
        f"Threshold {threshold:.4g}, locked when the model was made. {counts.true_positives} of {counts.positives} positive "
        f"{patients} are flagged, and {counts.negatives - counts.true_negatives} of {counts.negatives} negative ones.",
        "PPV: share of the flagged that is positive. NPV: share of those not flagged that is negative. Both follow the "
        "prevalence; they suppose that sensitivity and specificity do not.",
    ]
    if not stated:
        notes.append(
            "State the prevalence of your laboratory with --prevalence, such as --prevalence 0.01,0.05."
        )
    if not computed:
        notes.append("No predictive value can be computed: a class is missing, or all or none are flagged.")
    return notes
