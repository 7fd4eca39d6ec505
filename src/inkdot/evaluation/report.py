"""The result of an evaluation of slides or images, and its form as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from inkdot.config import HeadConfig
from inkdot.metrics.curves import ReliabilityBin
from inkdot.metrics.intervals.confidence_intervals import Estimate

Metrics = Mapping[str, Estimate]
Confusion = Mapping[tuple[str, str], int]
"""Counts by (truth, call)."""

EVALUATION_VERSION = "inkdot.evaluation/6"


@dataclass(frozen=True, slots=True)
class Plot:
    """One curve.

    Attributes:
        caption: What it shows.
        x_label: Label of the x axis.
        y_label: Label of the y axis, which runs from 0 to 1.
        points: (x, y) from left to right.
        x_max: End of the x axis, which begins at 0.
        diagonal: Whether the line of chance, or of perfect calibration, is drawn.
        marked: Points to draw a ring round.
        intervals: Intervals of points: x, lower and upper end.
    """

    caption: str
    x_label: str
    y_label: str
    points: Sequence[tuple[float, float]]
    x_max: float = 1.0
    diagonal: bool = True
    marked: Sequence[tuple[float, float]] = ()
    intervals: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True, slots=True)
class WorstError:
    """A slide or image with a wrong call.

    Attributes:
        name: The slide or image.
        kind: ``missed`` or ``false positive``.
        score: Of the flag class, 0 to 1.
        image: The region with the highest score, JPEG; empty where it could not be read again.
        label: The label in the table, where it is more than positive or negative.
    """

    name: str
    kind: str
    score: float
    image: bytes
    label: str = ""


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Content of the HTML and JSON reports.

    Attributes:
        title: Heading.
        unit: ``slide`` or ``image``.
        warnings: Lines that stand first.
        facts: Lines on the model and the cohort.
        metrics: Metrics by level, the most important level first.
        calls: Units by truth and call of the flagging head.
        subgroups: Column to value to metrics.
        failed: Reason of each unit that failed, by name.
        plots: In the order to show them.
        reliability: Share of positives by score of the flag class.
        subgroup_sizes: Column to value to the number of units and patients, as text.
        confusions: Units by true and likeliest class, by head.
        worst_errors: The worst of each kind, the worst first.
        curves: Further curves for programs, by name: rows of numbers by column.
    """

    title: str
    unit: str
    warnings: Sequence[str]
    facts: Sequence[str]
    metrics: Mapping[str, Metrics]
    calls: Confusion
    subgroups: Mapping[str, Mapping[str, Metrics]]
    failed: Mapping[str, str]
    plots: Sequence[Plot]
    reliability: Sequence[ReliabilityBin]
    subgroup_sizes: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    confusions: Mapping[str, Confusion] = field(default_factory=dict[str, Confusion])
    worst_errors: Sequence[WorstError] = ()
    curves: Mapping[str, Sequence[Mapping[str, float]]] = field(
        default_factory=dict[str, Sequence[Mapping[str, float]]]
    )


def report_json(report: EvaluationReport, model_sha256: str, heads: Sequence[HeadConfig]) -> str:
    """The report as JSON, with sorted keys.

    Args:
        report: The report.
        model_sha256: Hash of the model.
        heads: Its heads.
    """
    content = {
        "version": EVALUATION_VERSION,
        "unit": report.unit,
        "model_sha256": model_sha256,
        "heads": [head.model_dump(mode="json") for head in heads],
        "warnings": list(report.warnings),
        "metrics": {level.lower(): _metrics(own) for level, own in report.metrics.items()},
        "calls": _counts(report.calls),
        "confusions": {head: _counts(counts) for head, counts in report.confusions.items()},
        "subgroups": {
            column: {value: _metrics(own) for value, own in groups.items()}
            for column, groups in report.subgroups.items()
        },
        "reliability": [
            {
                "mean_score": own.mean_score,
                "fraction_positive": own.fraction_positive.value,
                "low": own.fraction_positive.low,
                "high": own.fraction_positive.high,
                "count": own.rows,
            }
            for own in report.reliability
        ],
        "curves": {name: [dict(row) for row in rows] for name, rows in report.curves.items()},
        "worst_errors": [
            {"name": own.name, "kind": own.kind, "score": own.score, "label": own.label}
            for own in report.worst_errors
        ],
        "failed": dict(report.failed),
    }
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _metrics(metrics: Metrics) -> dict[str, object]:
    return {name: asdict(estimate) for name, estimate in metrics.items()}


def _counts(counts: Confusion) -> dict[str, int]:
    return {f"{truth}, {call}": count for (truth, call), count in counts.items()}
