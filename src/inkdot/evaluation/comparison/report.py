"""A comparison as Markdown, JSON and lines for the terminal."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from inkdot.evaluation.comparison.comparison import ComparedMetric, Comparison
from inkdot.metrics.intervals.confidence_intervals import TOO_FEW, Estimate
from inkdot.metrics.intervals.delong import CLUSTERED, AucDifference
from inkdot.metrics.intervals.paired_bootstrap import Difference

COMPARISON_VERSION: Final = "inkdot.comparison/1"

Row = tuple[str, ...]

METRIC_COLUMNS: Final = ("metric", "model", "value (95 % interval)", "difference (95 % interval)")
TEST_COLUMNS: Final = ("AUC", "difference (95 % interval)", "z", "p", "p, Holm")


def metric_rows(comparison: Comparison) -> Iterator[Row]:
    """Per metric and model: the metric (named once), the model, its value, and its difference from the first model."""
    for metric in comparison.metrics:
        for index, (table, value) in enumerate(zip(comparison.tables, metric.values, strict=True)):
            yield (
                _metric_name(metric) if index == 0 else "",
                table.name,
                _value(value),
                "" if index == 0 else _difference(metric.differences[index - 1]),
            )


def test_rows(comparison: Comparison) -> Iterator[Row]:
    """Per further model DeLong's test against the first."""
    first = comparison.tables[0].name
    tests = zip(comparison.tables[1:], comparison.auc_tests, comparison.adjusted, strict=True)
    for table, test, adjusted in tests:
        yield (f"{table.name} − {first}", *_test(test, adjusted))


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison as a page."""
    lines = [
        "# Comparison",
        "",
        summary_line(comparison),
        "",
        *(f"- **{_cell(table.name)}**: {_cell(str(table.source))}" for table in comparison.tables),
        "",
        *markdown_table(METRIC_COLUMNS, metric_rows(comparison)),
        "",
        *explanation(comparison),
        "",
        "## DeLong's test",
        "",
        *markdown_table(TEST_COLUMNS, test_rows(comparison)),
        "",
        test_explanation(comparison),
    ]
    return "\n".join([*lines, *("\n" + note for note in comparison.notes)]) + "\n"


def summary_line(comparison: Comparison) -> str:
    """What was compared, in a sentence."""
    first = comparison.tables[0]
    folds = "" if first.folds is None else f", in {len(set(first.folds.tolist()))} folds"
    return (
        f"{len(first.ids)} {first.unit}s of {comparison.patients} patients{folds}; truth is known for {comparison.positives} of "
        f"the flag class and {comparison.negatives} others. Differences are to {first.name}."
    )


def explanation(comparison: Comparison) -> list[str]:
    """How to read the table of metrics."""
    lines = [
        f"Differences: both models on the same {comparison.replicates} draws of patients (paired bootstrap). Where an "
        "interval holds 0, these patients do not tell the models apart; that does not show them to be equal. Intervals are "
        "not adjusted for their number.",
    ]
    if any(metric.lower_is_better for metric in comparison.metrics):
        lines.append("Lower is better for the Brier score and the log loss.")
    return lines


def test_explanation(comparison: Comparison) -> str:
    """How DeLong's test was made."""
    if not any(comparison.auc_tests):
        return "The test needs two patients of each class, and a difference that varies between patients."
    clustered = any(test is not None and test.method == CLUSTERED for test in comparison.auc_tests)
    how = (
        "Patients have several rows, which are clustered by patient (Obuchowski 1997)."
        if clustered
        else "One row per patient (DeLong 1988)."
    )
    return f"{how} p: two-sided, of no difference in AUC. Holm: adjusted for the number of comparisons."


def comparison_json(comparison: Comparison) -> str:
    """The comparison for programs, with sorted keys."""
    names = [table.name for table in comparison.tables]
    first = comparison.tables[0]
    content = {
        "version": COMPARISON_VERSION,
        "unit": first.unit,
        "rows": len(first.ids),
        "patients": comparison.patients,
        "positives": comparison.positives,
        "negatives": comparison.negatives,
        "models": [{"name": table.name, "source": str(table.source)} for table in comparison.tables],
        "metrics": {
            metric.name: {
                "lower_is_better": metric.lower_is_better,
                "rows": metric.rows,
                "values": {
                    name: None if value is None else asdict(value)
                    for name, value in zip(names, metric.values, strict=True)
                },
                "differences": {
                    name: None if own is None else asdict(own)
                    for name, own in zip(names[1:], metric.differences, strict=True)
                },
            }
            for metric in comparison.metrics
        },
        "delong": {
            name: None if test is None else {**asdict(test), "p_holm": adjusted}
            for name, test, adjusted in zip(names[1:], comparison.auc_tests, comparison.adjusted, strict=True)
        },
        "notes": comparison.notes,
    }
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _metric_name(metric: ComparedMetric) -> str:
    return f"{metric.name} (lower is better)" if metric.lower_is_better else metric.name


def _value(value: Estimate | None) -> str:
    if value is None:
        return "undefined"
    return f"{value.value:.3f} (not known)" if value.method == TOO_FEW else str(value)


def _difference(difference: Difference | None) -> str:
    return "undefined" if difference is None else str(difference)


def _test(test: AucDifference | None, adjusted: float | None) -> Row:
    if test is None:
        return ("no test: the difference has no variance", "", "", "")
    return (
        f"{test.value:+.3f} ({test.low:+.3f} to {test.high:+.3f})",
        f"{test.z:+.2f}",
        _p(test.p),
        _p(test.p if adjusted is None else adjusted),
    )


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def markdown_table(columns: Row, rows: Iterator[Row]) -> list[str]:
    """Lines of a Markdown table; bars and line ends in cells are escaped."""
    return [
        f"| {' | '.join(columns)} |",
        "| --- |" + " --- |" * (len(columns) - 1),
        *(f"| {' | '.join(_cell(text) for text in row)} |" for row in rows),
    ]


def _cell(text: str) -> str:
    """A folder's name must not end a cell."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
