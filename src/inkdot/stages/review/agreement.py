"""``inkdot review agreement``: inter-reader agreement per head."""

import csv
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from inkdot.errors import ManifestError
from inkdot.labels import CELL, DEFAULT_HEADS, FINDER_HEAD, NOT_A_CELL, Head
from inkdot.metrics.agreement import cohen_estimate, fleiss_estimate, observed_agreement
from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.review.verdicts.cell_answers import cell_answers
from inkdot.review.verdicts.stored_verdicts import read_stored_verdicts
from inkdot.review.verdicts.verdict_table import Verdict, latest_verdicts, same_region_numbers

Verdicts = dict[tuple[str, int], dict[str, int]]
"""By (slide, region): the index of each reader's verdict."""

_CELL_OR_NOT = replace(FINDER_HEAD, labels={CELL: {}, NOT_A_CELL: {}})

_COLUMNS = (
    "head",
    "readers",
    "metric",
    "regions",
    "slides",
    "same verdict",
    "kappa (95 % interval)",
    "interval by",
)


def run(verdicts: Sequence[Path], *, heads: Sequence[Head] = DEFAULT_HEADS) -> int:
    """Print Cohen's kappa of every two readers and Fleiss' kappa of all, with intervals.

    "unsure" counts as a verdict of its own. Only regions that both (or at least two) readers reviewed count. Where a reader
    said that a region is no cell, its class is left out, and a row ``cell_finder`` compares who saw a cell and who did not.

    Args:
        verdicts: Tables saved by galleries, and databases of the server.
        heads: The heads that may be reviewed.

    Returns:
        0.

    Raises:
        ManifestError: A table is missing or invalid, or there are fewer than two readers.
    """
    found = latest_verdicts([verdict for path in verdicts for verdict in read_stored_verdicts(path, heads)])
    readers = sorted({verdict.reader for verdict in found})
    if len(readers) < 2:
        raise ManifestError(
            f"expected verdicts of at least two readers, found {', '.join(readers) or 'none'}"
        )
    rows: list[tuple[str, ...]] = []
    if any(verdict.head == FINDER_HEAD.name for verdict in found):
        answers = cell_answers(found, heads)
        rows += _rows(_CELL_OR_NOT, _verdicts(_CELL_OR_NOT, answers), readers)
    for head in heads:
        rows += _rows(head, _verdicts(head, found), readers)
    _print(rows)
    if any(verdict.shown == "scores" for verdict in found):
        Console(stderr=True).print(
            "Some readers saw the scores, which biases agreement upwards: for a reader study export with "
            "`inkdot review export --blinded SEED`."
        )
    return 0


def _print(rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere, where no width is known, lines of cells between tabs, none of them cut."""
    console = Console()
    if not console.is_terminal:
        csv.writer(sys.stdout, delimiter="\t", lineterminator="\n").writerows([_COLUMNS, *rows])
        return
    table = Table(*(Column(name, overflow="fold") for name in _COLUMNS))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # names of readers are not markup
    console.print(table)


def _verdicts(head: Head, found: Sequence[Verdict]) -> Verdicts:
    concerned = [verdict for verdict in found if verdict.head == head.name]
    order = list(head.labels)
    verdicts: Verdicts = {}
    for verdict, number in zip(concerned, same_region_numbers(concerned), strict=True):
        verdicts.setdefault((verdict.slide_id, number), {})[verdict.reader] = order.index(verdict.verdict)
    return verdicts


def _rows(head: Head, verdicts: Verdicts, readers: Sequence[str]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for first, second in combinations(readers, 2):
        both = {region: given for region, given in verdicts.items() if first in given and second in given}
        slides = np.asarray([slide for slide, _ in both], dtype=np.str_)
        one = np.asarray([given[first] for given in both.values()], dtype=np.int64)
        two = np.asarray([given[second] for given in both.values()], dtype=np.int64)
        estimate = cohen_estimate(one, two, len(head.labels), slides) if both else None
        same = np.count_nonzero(np.equal(one, two)) / len(both) if both else None
        rows.append(_row(head, f"{first}, {second}", "Cohen", slides, same, estimate))
    if len(readers) > 2:
        several = {region: given for region, given in verdicts.items() if len(given) > 1}
        slides = np.asarray([slide for slide, _ in several], dtype=np.str_)
        counts = np.zeros((len(several), len(head.labels)), dtype=np.int64)
        for index, given in enumerate(several.values()):
            np.add.at(counts[index], list(given.values()), 1)
        estimate = fleiss_estimate(counts, slides) if several else None
        same = observed_agreement(counts) if several else None
        rows.append(_row(head, f"all {len(readers)}", "Fleiss", slides, same, estimate))
    return rows


def _row(
    head: Head, readers: str, metric: str, slides: np.ndarray, same: float | None, estimate: Estimate | None
) -> tuple[str, ...]:
    kappa = ("undefined", "one verdict throughout" if len(slides) else "no region in common")
    if estimate is not None:
        kappa = (str(estimate), estimate.method)
    share = "" if same is None else f"{same:.0%}"
    return (head.name, readers, metric, str(len(slides)), str(len(np.unique(slides))), share, *kappa)
