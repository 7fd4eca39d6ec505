"""Escape text cells against formula injection in spreadsheets, and unescape them.

Slide names and notes are untrusted; a cell that starts with ``=``, ``+``, ``-``, ``@``, a tab or a carriage
return can run as a formula where the table is opened. An apostrophe in front makes it text. Cells that already start with
apostrophes before such a sign get one more, so that :func:`plain_text` is the exact inverse.
"""

import re

_FORMULA_START = re.compile(r"'*[=+\-@\t\r]")


def safe_cell(text: str) -> str:
    """Escape the text of a cell."""
    return f"'{text}" if _FORMULA_START.match(text) else text


def plain_text(cell: str) -> str:
    """The inverse of :func:`safe_cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA_START.match(cell) else cell
