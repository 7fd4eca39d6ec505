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
from inkdot.storage.layout import RunLayout
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
        UserError: There are fewer than two results, or they are not of the same patients, truth, heads or folds; or ``out`` holds
            a run.
    """
    layout = ComparisonLayout(out)
    _require_no_run(layout)
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


def _require_no_run(layout: ComparisonLayout) -> None:
    """Check that the output folder is not that of another command, whose results it would be taken for.

    Raises:
        UserError: It holds a run.
    """
    run = RunLayout(layout.root)
    found = [
        path.name
        for path in (
            run.config_json, run.evaluation_json, run.predictions_csv, run.model, run.out_of_fold_csv,
            run.out_of_fold_slides_csv, run.slides_csv, run.ledger,
        )
        if path.exists()
    ]  # fmt: skip
    if found:
        raise UserError(
            f"--out {layout.root}: expected a new folder, or one of `inkdot compare`, found a run ({', '.join(found[:3])}); name "
            "another"
        )


_VALUE_WIDTH, _DIFFERENCE_WIDTH, _P_WIDTH = 22, 26, 8
"""Widest numbers: ``0.912 (0.870 to 0.950)``, ``+0.012 (−0.010 to +0.034)`` and ``< 0.0001``."""


def _print(comparison: Comparison, layout: ComparisonLayout) -> None:
    console = Console(stderr=True)
    console.print(Text(summary_line(comparison)), soft_wrap=True)
    model, *numbers = METRIC_COLUMNS[1:]
    widths = _VALUE_WIDTH, _DIFFERENCE_WIDTH
    # A metric has a line of its own, since with it beside the numbers 80 columns would not do.
    table = _table(model, list(zip(numbers, widths, strict=True)))
    for metric, *cells in metric_rows(comparison):
        if metric:
            console.print(table) if table.row_count else None
            console.print(Text(f"\n{metric}", style="bold"), soft_wrap=True)
            table = _table(model, list(zip(numbers, widths, strict=True)))
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    first, difference, *others = TEST_COLUMNS
    tests = _table(first, [(difference, _DIFFERENCE_WIDTH), *((name, _P_WIDTH) for name in others)])
    for row in test_rows(comparison):
        tests.add_row(*(Text(cell) for cell in row))
    console.print(Text("\nDeLong's test", style="bold"))
    console.print(tests)
    lines = [*explanation(comparison), test_explanation(comparison), *comparison.notes]
    for line in [*lines, f"report: {layout.markdown}"]:
        console.print(Text(line), soft_wrap=True)


def _table(first: str, numbers: Sequence[tuple[str, int]]) -> Table:
    """An empty table whose first column gives way: numbers are never folded, words instead of an interval are."""
    table = Table(box=None)
    table.add_column(first, overflow="fold", min_width=10)
    for name, width in numbers:
        table.add_column(name, min_width=max(width, len(name)))
    return table
