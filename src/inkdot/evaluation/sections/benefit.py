"""Whether flagging by the model is worth it: decision curves."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from inkdot.evaluation.report import Curve, Line, Metrics, Plot, Section
from inkdot.evaluation.report_parts import percent
from inkdot.evaluation.sections.ranking import ring
from inkdot.evaluation.sections.rows import ScoredRows
from inkdot.metrics.decision_curve import (
    DecisionCurve,
    cost_of_false_positive,
    decision_curve,
    net_benefit,
    net_benefit_at_prevalence,
)

_STEPS: Final = 100
_BELOW: Final = 0.3
"""Height of the y axis below 0, as a share of that above: what harms more is worse than flagging none in any case."""

_ALL, _NONE = "flag all", "flag none"


def benefit_section(
    rows: ScoredRows, threshold: float, calls: Metrics, prevalences: Sequence[float], prefix: str
) -> tuple[Section, dict[str, Curve]]:
    """The decision curve of patients, and the net benefit of the locked threshold at stated prevalences.

    Args:
        rows: The patients (or groups).
        threshold: The locked operating point.
        calls: ``sensitivity`` and ``specificity`` of patients.
        prevalences: Stated by the user.
        prefix: Before the names of metrics.

    Returns:
        The section, and curves for the JSON file.
    """
    steps = np.arange(1, _STEPS) / _STEPS
    plots, curves = list[Plot](), dict[str, Curve]()
    if rows.truth.any() and not rows.truth.all():
        curve = decision_curve(rows.truth, rows.scores, rows.patients, steps)
        plots.append(_curve_plot(curve, rows, threshold, prefix))
        curves[f"{prefix}decision"] = _curve_json(curve)
    if "sensitivity" in calls and "specificity" in calls:
        for prevalence in prevalences:
            name = f"{prefix}decision_at_prevalence_{prevalence:g}"
            plot, curves[name] = _at_prevalence(calls, prevalence, rows.unit, threshold, prefix)
            plots.append(plot)
    section = Section(
        anchor="benefit",
        question="Is flagging worth it?",
        notes=[
            "Net benefit: true positives per patient, less false positives weighted by their cost (Vickers and Elkin 2006). "
            "Whoever accepts 9 needless work-ups for one finding has a threshold probability of 0.1.",
            "Higher is better. Where the curve is below both lines, the model is of no use.",
            "The first plot takes scores for probabilities: see the reliability diagram.",
        ],
        plots=plots,
    )
    return section, curves


def _curve_plot(curve: DecisionCurve, rows: ScoredRows, threshold: float, prefix: str) -> Plot:
    share = float(rows.truth.mean())
    x = curve.thresholds.tolist()
    locked = [(threshold, net_benefit(rows.truth, rows.flagged, threshold))] if 0.0 < threshold < 1.0 else []
    low = -_BELOW * share
    shown = [own for own in locked if own[1] >= low]
    where = ring(threshold) if shown else f"the locked threshold, {threshold:.4g}, lies below the plot"
    return Plot(
        f"Decision curve of {rows.unit} with 95 % intervals, {percent(share)} of them positive; {where}",
        "threshold probability",
        f"{prefix}net benefit",
        list(zip(x, curve.model.tolist(), strict=True)),
        y_range=(low, 1.05 * share),
        diagonal=False,
        marked=shown,
        intervals=_band(x, curve.low.tolist(), curve.high.tolist()),
        band=True,
        label="model",
        lines=[
            Line(_ALL, list(zip(x, curve.flag_all.tolist(), strict=True))),
            Line(_NONE, [(0.0, 0.0), (1.0, 0.0)]),
        ],
    )


def _at_prevalence(
    calls: Metrics, prevalence: float, unit: str, threshold: float, prefix: str
) -> tuple[Plot, list[dict[str, float | None]]]:
    """Net benefit of the locked threshold: straight lines in the cost of a false positive, whatever the calibration."""
    x_max = min(1.0, 5.0 * prevalence)
    x = [x_max * step / _STEPS for step in range(1, _STEPS)]
    own = [
        net_benefit_at_prevalence(calls["sensitivity"], calls["specificity"], prevalence, value)
        for value in x
    ]
    flag_all = [prevalence - (1.0 - prevalence) * float(cost_of_false_positive(value)) for value in x]
    plot = Plot(
        f"Net benefit of the locked threshold, {threshold:.4g}, where {percent(prevalence)} of the {unit} are positive",
        "threshold probability",
        f"{prefix}net benefit",
        [(value, estimate.value) for value, estimate in zip(x, own, strict=True)],
        x_max=x_max,
        y_range=(-_BELOW * prevalence, 1.05 * prevalence),
        diagonal=False,
        intervals=[(value, estimate.low, estimate.high) for value, estimate in zip(x, own, strict=True)],
        band=True,
        label="locked threshold",
        lines=[Line(_ALL, list(zip(x, flag_all, strict=True))), Line(_NONE, [(0.0, 0.0), (x_max, 0.0)])],
    )
    rows: list[dict[str, float | None]] = [
        {
            "threshold_probability": value,
            "net_benefit": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "flag_all": everything,
        }
        for value, estimate, everything in zip(x, own, flag_all, strict=True)
    ]
    return plot, rows


def _band(
    x: Sequence[float], low: Sequence[float], high: Sequence[float]
) -> list[tuple[float, float, float]]:
    return [own for own in zip(x, low, high, strict=True) if not math.isnan(own[1])]


def _curve_json(curve: DecisionCurve) -> list[dict[str, float | None]]:
    columns = {
        "threshold_probability": curve.thresholds,
        "net_benefit": curve.model,
        "low": curve.low,
        "high": curve.high,
        "flag_all": curve.flag_all,
    }
    return [
        {name: None if np.isnan(own[row]) else float(own[row]) for name, own in columns.items()}
        for row in range(len(curve.thresholds))
    ]
