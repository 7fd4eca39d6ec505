"""What an evaluation found, be it of slides or of images, and its form for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from inkdot.metrics.confidence_intervals import Estimate
from inkdot.metrics.curves import ReliabilityRow

Metrics = Mapping[str, Estimate]
Confusion = Mapping[tuple[str, str], int]
"""Counts by (truth, call)."""

EVALUATION_VERSION = "inkdot.evaluation/4"


@dataclass(frozen=True, slots=True)
class Plot:
    """A line in a square.

    Attributes:
        caption: What it shows.
        x_words: What goes to the right.
        y_words: What goes up, 0 to 1.
        points: From left to right.
        x_end: What the right edge stands for; the left one is 0.
        diagonal: Whether the line of no knowledge, or of perfect calibration, is drawn.
        marked: Points to draw a ring round.
        bars: Intervals of points: where they stand, their lower and their upper end.
    """

    caption: str
    x_words: str
    y_words: str
    points: Sequence[tuple[float, float]]
    x_end: float = 1.0
    diagonal: bool = True
    marked: Sequence[tuple[float, float]] = ()
    bars: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True, slots=True)
class WorstError:
    """A unit that was called wrong.

    Attributes:
        name: The slide or image.
        kind: ``missed`` or ``false alarm``.
        score: Of the flag class, 0 to 1.
        image: What scored highest there, JPEG; empty where it could not be read again.
        label: What people said of it, where that is more than positive or negative.
    """

    name: str
    kind: str
    score: float
    image: bytes
    label: str = ""


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What the page shows.

    Attributes:
        title: Heading.
        unit: What was judged: ``slide`` or ``image``.
        warnings: What must be said first.
        facts: Lines on the model and the cohort.
        metrics: Metrics by level, the most important first.
        calls: Units by truth and call of the flagging head.
        confusions: The same of every head by its likeliest class, by head.
        subgroups: Column to word to metrics.
        members: Column to word to how many are meant, in words.
        failed: Units that failed, and why.
        plots: In the order to show them.
        reliability: What the flag class's scores were worth, per bin.
        errors: The worst of each kind, the worst first.
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
    reliability: Sequence[ReliabilityRow]
    members: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    confusions: Mapping[str, Confusion] = field(default_factory=dict[str, Confusion])
    errors: Sequence[WorstError] = ()
    curves: Mapping[str, Sequence[Mapping[str, float]]] = field(
        default_factory=dict[str, Sequence[Mapping[str, float]]]
    )


def report_json(report: EvaluationReport, model_sha256: str) -> str:
    """The report as JSON, with sorted keys."""
    facts = {
        "version": EVALUATION_VERSION,
        "unit": report.unit,
        "model_sha256": model_sha256,
        "warnings": list(report.warnings),
        "metrics": {level.lower(): _metrics(own) for level, own in report.metrics.items()},
        "calls": _counts(report.calls),
        "confusions": {head: _counts(counts) for head, counts in report.confusions.items()},
        "subgroups": {
            column: {word: _metrics(own) for word, own in words.items()}
            for column, words in report.subgroups.items()
        },
        "reliability": [
            {
                "score": row.score,
                "share": row.share.value,
                "low": row.share.low,
                "high": row.share.high,
                "count": row.rows,
            }
            for row in report.reliability
        ],
        "curves": {name: [dict(row) for row in rows] for name, rows in report.curves.items()},
        "errors": [
            {"name": own.name, "kind": own.kind, "score": own.score, "label": own.label}
            for own in report.errors
        ],
        "failed": dict(report.failed),
    }
    return json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _metrics(metrics: Metrics) -> dict[str, object]:
    return {name: asdict(estimate) for name, estimate in metrics.items()}


def _counts(counts: Confusion) -> dict[str, int]:
    return {f"{truth}, {call}": count for (truth, call), count in counts.items()}
