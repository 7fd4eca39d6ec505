"""The ``slides.csv`` of an output folder: never in place of one that a person wrote."""

import csv

from inkdot.errors import UserError
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout


def write_run_table(layout: RunLayout, text: str) -> None:
    """Write the table of the slides of a run, atomically.

    Args:
        layout: The output folder.
        text: The table, see :func:`inkdot.manifest.manifest_text`.

    Raises:
        UserError: The folder has a ``slides.csv`` with further columns and no ledger: it was written by a person, and what these
            columns hold would be lost.
    """
    path = layout.slides_csv
    if path.exists() and not (layout.ledger.exists() or RunLayout(layout.root).ledger.exists()):
        lost = [name for name in _header(path.read_bytes()) if name not in _header(text.encode())]
        if lost:
            raise UserError(
                f"{path}: expected no slide table of yours in --out, found one with the column {lost[0]!r}, which would be lost; "
                "choose another --out"
            )
    write_text(path, text)


def _header(content: bytes) -> list[str]:
    line = content.decode("utf-8-sig", errors="replace").split("\n", 1)[0].rstrip("\r")
    return [name.strip() for row in csv.reader([line]) for name in row]
