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

Curve = Sequence[Mapping[str, float | None]]
"""Rows of numbers by column."""

EVALUATION_VERSION = "inkdot.evaluation/7"


@dataclass(frozen=True, slots=True)
class Line:
    """A further curve of a plot.

    Attributes:
        label: Its name in the legend.
        points: (x, y) from left to right.
    """

    label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Plot:
    """One curve, alone or beside others.

    Attributes:
        caption: What it shows.
        x_label: Label of the x axis.
        y_label: Label of the y axis.
        points: (x, y) from left to right.
        x_max: End of the x axis, which begins at 0.
        y_range: Ends of the y axis.
        diagonal: Whether the line of chance, or of perfect calibration, is drawn.
        marked: Points to draw a ring round.
        intervals: Intervals of points: x, lower and upper end.
        band: Draw the intervals as one band instead of bars.
        label: Name of the curve in the legend, which is drawn where there are further lines.
        lines: Further curves.
    """

    caption: str
    x_label: str
    y_label: str
    points: Sequence[tuple[float, float]]
    x_max: float = 1.0
    y_range: tuple[float, float] = (0.0, 1.0)
    diagonal: bool = True
    marked: Sequence[tuple[float, float]] = ()
    intervals: Sequence[tuple[float, float, float]] = ()
    band: bool = False
    label: str = ""
    lines: Sequence[Line] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    Attributes:
        caption: What it shows.
        columns: Its headings; cells of the first column head their row.
        rows: As many cells as columns each.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """The answer to one question.

    Attributes:
        anchor: Its name within the page: lower-case letters and hyphens.
        question: The heading.
        warning: A line that stands out; blank for none.
        notes: Short sentences under the heading.
        metrics: Tables of metrics by caption.
        tables: Further tables.
        plots: In the order to show them.
    """

    anchor: str
    question: str
    warning: str = ""
    notes: Sequence[str] = ()
    metrics: Mapping[str, Metrics] = field(default_factory=dict[str, Metrics])
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()


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
        metrics: Metrics by level, the most important level first; those of the first are the headline.
        calls: Units by truth and call of the flagging head.
        subgroups: Column to value to metrics.
        failed: Reason of each unit that failed, by name.
        sections: What the page shows, in this order; before worst errors, subgroups and failures.
        reliability: Share of positives by score of the flag class.
        subgroup_sizes: Column to value to the number of units and patients, as text.
        confusions: Units by true and likeliest class, by head.
        worst_errors: The worst of each kind, the worst first.
        curves: Curves for programs, by name: rows of numbers by column.
        details: Further keys of the JSON file, see ``docs/reference/files.md``.
    """

    title: str
    unit: str
    warnings: Sequence[str]
    facts: Sequence[str]
    metrics: Mapping[str, Metrics]
    calls: Confusion
    subgroups: Mapping[str, Mapping[str, Metrics]]
    failed: Mapping[str, str]
    sections: Sequence[Section]
    reliability: Sequence[ReliabilityBin]
    subgroup_sizes: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    confusions: Mapping[str, Confusion] = field(default_factory=dict[str, Confusion])
    worst_errors: Sequence[WorstError] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict[str, Curve])
    details: Mapping[str, object] = field(default_factory=dict[str, object])


def report_json(report: EvaluationReport, model_sha256: str, heads: Sequence[HeadConfig]) -> str:
    """The report as JSON, with sorted keys.

    Args:
        report: The report.
        model_sha256: Hash of the model.
        heads: Its heads.
    """
    content = {
        **report.details,
        "version": EVALUATION_VERSION,
        "unit": report.unit,
        "model_sha256": model_sha256,
        "heads": [head.model_dump(mode="json") for head in heads],
        "warnings": list(report.warnings),
        "metrics": {level.lower(): metrics_json(own) for level, own in report.metrics.items()},
        "calls": counts_json(report.calls),
        "confusions": {head: counts_json(counts) for head, counts in report.confusions.items()},
        "subgroups": {
            column: {value: metrics_json(own) for value, own in groups.items()}
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
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def metrics_json(metrics: Metrics) -> dict[str, object]:
    """Metrics by name, each as an object."""
    return {name: asdict(estimate) for name, estimate in metrics.items()}


def counts_json(counts: Confusion) -> dict[str, int]:
    """Counts by ``truth, call``."""
    return {f"{truth}, {call}": count for (truth, call), count in counts.items()}
