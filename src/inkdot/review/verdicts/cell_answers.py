"""Whether each reader saw a nucleated cell in each region: what corrects the cell finder."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from inkdot.labels import CELL, FINDER_HEAD, NOT_A_CELL, Head
from inkdot.review.verdicts.verdict_table import Verdict


def cell_answers(verdicts: Iterable[Verdict], heads: Sequence[Head]) -> list[Verdict]:
    """One answer per reader and region, ``cell`` or ``not_a_cell``, as a verdict on :data:`inkdot.labels.FINDER_HEAD`.

    A verdict that names a class says that there is a cell. One that training does not use ("unsure") says nothing.

    Args:
        verdicts: The last verdict per reader, region and head, as :func:`latest_verdicts` sorts them.
        heads: The heads.
    """
    targets = {head.name: head.labels for head in heads}
    found: dict[tuple[str, bytes, str], Verdict] = {}
    for verdict in verdicts:
        is_about_cells = verdict.head == FINDER_HEAD.name
        if not is_about_cells and not targets[verdict.head][verdict.verdict]:
            continue
        answer = replace(verdict, head=FINDER_HEAD.name, verdict=NOT_A_CELL if is_about_cells else CELL)
        key = (verdict.slide_id, verdict.geometry.wkb, verdict.reader)
        if key not in found or found[key].time < answer.time:
            found[key] = answer
    return list(found.values())
