"""Verdicts stored by the server (``reviews.sqlite``) as rows of ``verdicts.csv``, the common form for import."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from inkdot.labels import Head
from inkdot.review.verdicts.csv_cells import safe_cell
from inkdot.review.verdicts.verdict_table import (
    COLUMNS,
    VERDICTS_VERSION,
    Verdict,
    read_verdicts,
    verdict_of_row,
)
from inkdot.storage.verdict_schema import Change
from inkdot.storage.verdict_store import is_verdict_store, read_verdict_store


def read_stored_verdicts(path: Path, heads: Sequence[Head]) -> list[Verdict]:
    """Read the verdicts on regions that were shown; see :func:`read_stored_answers`."""
    return [answer for answer in read_stored_answers(path, heads) if answer.kind == "region"]


def read_stored_answers(path: Path, heads: Sequence[Head]) -> list[Verdict]:
    """Read all answers of a ``verdicts.csv`` or a server's ``reviews.sqlite``; the content decides which.

    Raises:
        ManifestError: The table is missing, of another version, or a row is wrong.
        StorageError: The database is damaged, or of another kind or version.
    """
    if not is_verdict_store(path):
        return read_verdicts(path, heads)
    rows = verdict_rows(read_verdict_store(path), heads)
    return [
        verdict_of_row(
            f"{path}: verdict {number}", {name: safe_cell(cell) for name, cell in row.items()}, heads
        )
        for number, row in enumerate(rows, start=1)
    ]


def verdict_rows(changes: Iterable[Change], heads: Sequence[Head] = ()) -> list[dict[str, str]]:
    """One row per verdict of each region or slide, a row without head for a note alone; as the gallery writes them.

    Args:
        changes: States of regions and slides; those without verdict and note give no row.
        heads: The heads, in the order of the rows; others follow by name.
    """
    order = {head.name: index for index, head in enumerate(heads)}
    rows: list[dict[str, str]] = []
    for change in changes:
        verdicts = cast("Mapping[str, Mapping[str, str]]", change.entry["verdicts"])
        note = cast("Mapping[str, str] | None", change.entry["note"])
        given = [
            (head, verdicts[head]["verdict"], verdicts[head].get("means", ""), verdicts[head]["time"])
            for head in sorted(verdicts, key=lambda name: (order.get(name, len(order)), name))
        ]
        if not given and note:
            given = [("", "", "", note["time"])]
        rows += [
            {
                "slide_id": change.slide_id,
                "kind": change.kind,
                "geometry": change.geometry,
                "head": head,
                "verdict": verdict,
                "means": means,
                "reader": change.reader,
                "time": time,
                "shown": change.study.shown,
                "rank": str(change.rank) if change.kind == "region" else "",
                "score": "" if change.score is None else repr(change.score),
                "note": note["text"] if note else "",
                "model_sha256": change.study.model_sha256,
                "order_seed": change.study.order_seed,
                "schema": VERDICTS_VERSION,
            }
            for head, verdict, means, time in given
        ]
    return rows


def verdicts_text(changes: Iterable[Change], heads: Sequence[Head] = ()) -> str:
    """The rows as a table."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in verdict_rows(changes, heads):
        writer.writerow([safe_cell(row[name]) for name in COLUMNS])
    return buffer.getvalue()
