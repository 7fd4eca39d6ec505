"""``inkdot compare``: models on the same patients, with paired intervals of their differences."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inkdot.errors import UserError
from inkdot.evaluation.comparison.compare_models import compare_models
from inkdot.evaluation.comparison.comparison import Comparison
from inkdot.evaluation.comparison.pairing import paired
from inkdot.evaluation.comparison.plot import comparison_svg
from inkdot.evaluation.comparison.predicted_slides import read_predicted_slides
from inkdot.evaluation.comparison.report import (
    METRIC_COLUMNS,
    TEST_COLUMNS,
    comparison_json,
    comparison_markdown,
    explanation,
    metric_rows,
    summary_line,
    test_explanation,
    test_rows,
)
from inkdot.evaluation.comparison.scored_table import read_scored_table
from inkdot.metrics.intervals.paired_bootstrap import REPLICATES
from inkdot.storage.atomic import write_text
from inkdot.storage.locking import locked
from inkdot.storage.output_layouts import ComparisonLayout


def run(
    results: Sequence[Path],
    out: Path,
    *,
    labels: Path | None = None,
    common: bool = False,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> int:
    """Compare models and write ``out/compare.md``, ``out/compare.json`` and ``out/compare.svg``.

    Args:
        results: Run folders of ``train --folds``, or outputs of ``evaluate``, or with ``labels`` results of ``predict``; the
            others are compared with the first.
        out: Output folder.
        labels: A slides.csv with the truth of the slides in results of ``predict``.
        common: Compare the slides or images that all results have.
        seed: Of the bootstrap.
        replicates: Draws for the differences.

    Returns:
        0.

    Raises:
        UserError: There are fewer than two results, or they are not of the same patients, truth, heads or folds.
    """
    if len(results) < 2:
        raise UserError(
            f"expected at least two results to compare, found {len(results)}; name two folders or more"
        )
    tables = [
        read_scored_table(folder, name) if labels is None else read_predicted_slides(folder, name, labels)
        for folder, name in zip(results, short_names(results), strict=True)
    ]
    comparison = compare_models(paired(tables, common=common), seed=seed, replicates=replicates)
    if not comparison.positives or not comparison.negatives:
        raise UserError(
            f"{tables[0].source}: expected known truth of both classes, found {comparison.positives} {tables[0].unit}s of the "
            f"flag class and {comparison.negatives} others; give more labels"
        )
    layout = ComparisonLayout(out)
    with locked(layout.lock):
        write_text(layout.markdown, comparison_markdown(comparison))
        write_text(layout.json, comparison_json(comparison))
        write_text(layout.plot, comparison_svg(comparison))
    _print(comparison, layout)
    return 0


def short_names(folders: Sequence[Path]) -> list[str]:
    """The last parts of the folders' paths, as many as tell them apart.

    Raises:
        UserError: The same folder is given twice.
    """
    parts = [folder.absolute().parts for folder in folders]
    for depth in range(1, max(len(own) for own in parts) + 1):
        names = ["/".join(own[-depth:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    raise UserError(f"expected different results, found the same folder twice: {folders[0]}; name each once")


def _in_lines(metric: str) -> str:
    """The metric, its head and class, and a remark in lines of their own: a name is not cut within a word."""
    return metric.replace(".", "\n", 1).replace(" (", "\n(")


def _print(comparison: Comparison, layout: ComparisonLayout) -> None:
    console = Console(stderr=True)
    console.print(Text(summary_line(comparison)), soft_wrap=True)
    for columns, rows in (
        (METRIC_COLUMNS, metric_rows(comparison)),
        (TEST_COLUMNS, test_rows(comparison)),
    ):
        table = Table(box=None)
        for index, column in enumerate(columns):
            table.add_column(column, overflow="fold", no_wrap=index == 0)
        for first, *others in rows:
            table.add_row(Text(_in_lines(first)), *(Text(cell) for cell in others))
        console.print(table)
    lines = [*explanation(comparison), test_explanation(comparison), *comparison.notes]
    for line in [*lines, f"report: {layout.markdown}"]:
        console.print(Text(line), soft_wrap=True)
