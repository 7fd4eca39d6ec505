"""``inkdot review agreement``: how far readers agree, question by question."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from inkdot.errors import ManifestError
from inkdot.labels import DEFAULT_HEADS, Head
from inkdot.metrics.agreement import cohen_estimate, fleiss_estimate, observed_agreement
from inkdot.metrics.confidence_intervals import Estimate
from inkdot.review.verdicts.stored_verdicts import read_answers
from inkdot.review.verdicts.verdict_table import Verdict, latest_answers, same_place_numbers

Answers = dict[tuple[str, int], dict[str, int]]
"""By (slide, place): the index of each reader's answer."""

_COLUMNS = (
    "question",
    "readers",
    "figure",
    "places",
    "slides",
    "same answer",
    "kappa (95 % interval)",
    "interval by",
)


def run(verdicts: Sequence[Path], *, heads: Sequence[Head] = DEFAULT_HEADS) -> int:
    """Print Cohen's kappa of every two readers and Fleiss' kappa of all, with intervals.

    All answers count as different, "unsure" among them; only places that both (or two of all) readers answered count.

    Args:
        verdicts: Tables that galleries saved, and databases of the server.
        heads: The questions that may be answered.

    Returns:
        0.

    Raises:
        ManifestError: A table is missing or wrong, or there are not two readers.
    """
    found = latest_answers([verdict for path in verdicts for verdict in read_answers(path, heads)])
    readers = sorted({verdict.reader for verdict in found})
    if len(readers) < 2:
        raise ManifestError(
            f"expected verdicts of at least two readers, found {', '.join(readers) or 'none'}"
        )
    table = Table(*_COLUMNS)
    for head in heads:
        for row in _rows(head, _answers(head, found), readers):
            table.add_row(*row)
    console = Console()
    console.print(table)
    if any(verdict.shown == "scores" for verdict in found):
        console.print(
            "Some readers saw the scores, which draws readers together: for a reader study export with --blinded."
        )
    return 0


def _answers(head: Head, found: Sequence[Verdict]) -> Answers:
    concerned = [verdict for verdict in found if verdict.head == head.name]
    order = list(head.answers)
    answers: Answers = {}
    for verdict, number in zip(concerned, same_place_numbers(concerned), strict=True):
        answers.setdefault((verdict.slide_id, number), {})[verdict.reader] = order.index(verdict.answer)
    return answers


def _rows(head: Head, answers: Answers, readers: Sequence[str]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for first, second in combinations(readers, 2):
        both = {place: given for place, given in answers.items() if first in given and second in given}
        slides = np.asarray([slide for slide, _ in both], dtype=np.str_)
        one = np.asarray([given[first] for given in both.values()], dtype=np.int64)
        two = np.asarray([given[second] for given in both.values()], dtype=np.int64)
        estimate = cohen_estimate(one, two, len(head.answers), slides) if both else None
        same = np.count_nonzero(np.equal(one, two)) / len(both) if both else None
        rows.append(_row(head, f"{first}, {second}", "Cohen", slides, same, estimate))
    if len(readers) > 2:
        several = {place: given for place, given in answers.items() if len(given) > 1}
        slides = np.asarray([slide for slide, _ in several], dtype=np.str_)
        counts = np.zeros((len(several), len(head.answers)), dtype=np.int64)
        for index, given in enumerate(several.values()):
            np.add.at(counts[index], list(given.values()), 1)
        estimate = fleiss_estimate(counts, slides) if several else None
        same = observed_agreement(counts) if several else None
        rows.append(_row(head, f"all {len(readers)}", "Fleiss", slides, same, estimate))
    return rows


def _row(
    head: Head, readers: str, figure: str, slides: np.ndarray, same: float | None, estimate: Estimate | None
) -> tuple[str, ...]:
    kappa = ("undefined", "one answer throughout" if len(slides) else "no place in common")
    if estimate is not None:
        kappa = (str(estimate), estimate.method)
    share = "" if same is None else f"{same:.0%}"
    return (head.name, readers, figure, str(len(slides)), str(len(np.unique(slides))), share, *kappa)
