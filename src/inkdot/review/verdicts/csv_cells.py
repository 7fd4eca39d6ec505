"""Text cells that a spreadsheet cannot take for a formula, and back again.

Slide names and notes are untrusted; a cell that starts with ``=``, ``+``, ``-``, ``@``, a tab or a carriage
return can run as a formula where the table is opened (https is no defence, the file is local). An apostrophe
in front makes it text. Cells that already start with apostrophes before such a sign get one more, so that
:func:`plain_text` always finds back what was written.
"""

import re

_FORMULA_START = re.compile(r"'*[=+\-@\t\r]")


def safe_cell(text: str) -> str:
    """The text of a cell as it should be written."""
    return f"'{text}" if _FORMULA_START.match(text) else text


def plain_text(cell: str) -> str:
    """What was given to :func:`safe_cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA_START.match(cell) else cell
