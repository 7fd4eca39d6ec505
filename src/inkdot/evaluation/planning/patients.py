"""Plans that count patients: intervals, locked thresholds, and two models on the same patients."""

from typing import Final

import numpy as np
from scipy.special import betaincinv

from inkdot.errors import UserError
from inkdot.evaluation.planning.study_plan import Cell, PlanLine, StudyPlan, asked, given_inputs
from inkdot.metrics.sample_size import (
    ASSURANCE,
    Width,
    discordant_if_independent,
    expected_interval,
    mcnemar_power,
    patients_for_interval,
    patients_for_mcnemar,
    patients_for_positives,
    positives_for_lock,
)

_WIDTHS: Final[tuple[tuple[Width, str], ...]] = (
    ("expected", "of the mean interval"),
    ("assured", f"of {ASSURANCE:.0%} of the intervals"),
    ("any", "of any interval, whatever is found"),
)
_MISSES = 6
_POINTS = 40


def sensitivity_plan(
    expected: float, half_width: float, *, confidence: float = 0.95, prevalence: float | None = None
) -> StudyPlan:
    """Positive patients for an interval of a sensitivity (or negative ones for a specificity).

    Raises:
        UserError: An argument is outside of its range.
    """
    needed = [asked(patients_for_interval, expected, half_width, confidence, width) for width, _ in _WIDTHS]
    rows: list[tuple[Cell, ...]] = []
    for (_, what), count in zip(_WIDTHS, needed, strict=True):
        low, high = expected_interval(expected, count, confidence)
        rows.append(_with_total((f"half-width {what}", count, low, high), count, prevalence))
    grid = _grid(4, 2 * needed[0])
    ends = [expected_interval(expected, count, confidence) for count in grid]
    return StudyPlan(
        title=f"Patients for a sensitivity of {expected:g} with an interval of ± {half_width:g}",
        answer=f"{needed[0]:,} positive patients give a {confidence:.0%} interval of ± {half_width:g} on average.",
        inputs=given_inputs(
            expected=expected, half_width=half_width, confidence=confidence, prevalence=prevalence
        ),
        columns=_columns(
            ("at most ± as asked", "positive patients", "mean lower end", "mean upper end"), prevalence
        ),
        rows=rows,
        notes=[
            f"Exact {confidence:.0%} interval of Clopper and Pearson, each patient counted once; half-width: half of upper minus "
            "lower end. It is not symmetrical: compare the lower end with what must be shown.",
            "For a specificity count negative patients in place of positive ones, with 1 − prevalence.",
            *_prevalence_notes(prevalence),
        ],
        x_label="positive patients",
        y_label="mean half-width",
        lines=[PlanLine("mean half-width", grid, [(high - low) / 2 for low, high in ends])],
        target=half_width,
    )


def lock_plan(sensitivity: float, confidence: float = 0.95, *, prevalence: float | None = None) -> StudyPlan:
    """Positive patients to lock a threshold of a guaranteed sensitivity.

    Raises:
        UserError: An argument is outside of its range.
    """
    needed = [asked(positives_for_lock, sensitivity, confidence, misses) for misses in range(_MISSES)]
    rows = [
        _with_total((str(misses), count, (count - misses) / (count + 1)), count, prevalence)
        for misses, count in enumerate(needed)
    ]
    lines: list[PlanLine] = []
    for misses in range(3):
        grid = _grid(8, 2 * needed[2])
        kept = [float(betaincinv(count - misses, misses + 1.0, 1.0 - confidence)) for count in grid]
        lines.append(PlanLine(f"{misses} miss{'' if misses == 1 else 'es'}", grid, kept))
    return StudyPlan(
        title=f"Patients to lock a threshold of sensitivity {sensitivity:g} with confidence {confidence:g}",
        answer=f"{needed[0]:,} positive patients lock a threshold at the lowest of their scores; with more, some may be missed.",
        inputs=given_inputs(sensitivity=sensitivity, confidence=confidence, prevalence=prevalence),
        columns=_columns(
            ("missed below the threshold", "positive patients", "mean true sensitivity"), prevalence
        ),
        rows=rows,
        notes=[
            f"The true sensitivity is at least {sensitivity:g} with probability {confidence:g}, whatever the distribution "
            "of the scores: one-sided tolerance limit of Wilks 1941, P(Bin(n, 1 − sensitivity) ≤ misses) ≤ 1 − confidence.",
            "Patients must be drawn like those to come, and not have been trained on.",
            *_prevalence_notes(prevalence),
        ],
        x_label="positive patients",
        y_label="guaranteed sensitivity",
        lines=lines,
        target=sensitivity,
    )


def compare_plan(
    a: float,
    b: float,
    *,
    discordant: float | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    prevalence: float | None = None,
) -> StudyPlan:
    """Patients to tell the sensitivities of two models on the same patients apart.

    Raises:
        UserError: An argument is outside of its range, or the models differ more than they may disagree.
    """
    independent = discordant_if_independent(a, b)
    given = independent if discordant is None else discordant
    if not abs(b - a) <= given <= min(a + b, 2.0 - a - b):
        raise UserError(
            f"--discordant: expected {abs(b - a):g} to {min(a + b, 2.0 - a - b):g} for {a:g} and {b:g}, found {given:g}; it is "
            "the share of patients of whom one model alone is right"
        )
    shares = sorted({round(share, 12) for share in (given, independent, max(1.5 * abs(b - a), 1e-9))})
    rows: list[tuple[Cell, ...]] = []
    counts: dict[float, int] = {}
    for share in shares:
        only_a, only_b = _alone(a, b, share)
        counts[share] = asked(patients_for_mcnemar, only_a, only_b, power, alpha)
        what = (
            "as given"
            if discordant is not None and share == round(given, 12)
            else "if they err independently"
            if share == round(independent, 12)
            else "if they mostly agree"
        )
        rows.append(_with_total((what, share, only_a, only_b, counts[share]), counts[share], prevalence))
    chosen = counts[round(given, 12)]
    grid = _grid(max(2, chosen // 8), 2 * chosen)
    reached = [mcnemar_power(*_alone(a, b, given), count, alpha) for count in grid]
    return StudyPlan(
        title=f"Patients to tell sensitivities of {a:g} and {b:g} apart",
        answer=f"{chosen:,} positive patients, each scored by both models, give a power of {power:g}.",
        inputs=given_inputs(a=a, b=b, discordant=discordant, power=power, alpha=alpha, prevalence=prevalence),
        columns=_columns(
            ("the models disagree", "one alone is right", "A alone", "B alone", "positive patients"),
            prevalence,
        ),
        rows=rows,
        notes=[
            f"Power of the exact McNemar test at {alpha:g} (two-sided), over the random number of patients on whom the models "
            "disagree. The more they agree, the fewer patients are needed: count it in a pilot (`inkdot compare`).",
            *_prevalence_notes(prevalence),
        ],
        x_label="positive patients",
        y_label="power",
        lines=[PlanLine("power", grid, reached)],
        target=power,
    )


def _alone(a: float, b: float, discordant: float) -> tuple[float, float]:
    """Shares of patients of whom A alone and B alone is right."""
    only_a, only_b = ((discordant + sign * (b - a)) / 2 for sign in (-1, 1))
    return max(round(only_a, 12), 0.0), max(round(only_b, 12), 0.0)


def _grid(first: int, last: int) -> list[int]:
    steps = np.unique(np.geomspace(first, max(last, first + 1), _POINTS).round().astype(int))
    return [int(step) for step in steps]


def _columns(columns: tuple[str, ...], prevalence: float | None) -> tuple[str, ...]:
    return columns if prevalence is None else (*columns, f"patients in all, {ASSURANCE:.0%} sure")


def _with_total(row: tuple[Cell, ...], positives: int, prevalence: float | None) -> tuple[Cell, ...]:
    if prevalence is None:
        return row
    return (*row, asked(patients_for_positives, positives, prevalence))


def _prevalence_notes(prevalence: float | None) -> list[str]:
    if prevalence is None:
        return []
    return [
        f"Patients in all: so many consecutive patients hold enough positive ones with probability {ASSURANCE:g}, at a "
        f"prevalence of {prevalence:g}."
    ]
