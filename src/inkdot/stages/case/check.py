"""``inkdot case check``: name every cell of cases.csv that cannot be or looks odd, and patients without a slide."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from inkdot.cases.join_slides import join_notes
from inkdot.cases.read_cases import check_cases
from inkdot.manifest import read_slides


def run(cases: Path, slides: Path | None = None) -> int:
    """Print one line per finding; nothing is written.

    Args:
        cases: ``cases.csv``.
        slides: ``slides.csv``, to join patients; None leaves that out.

    Returns:
        0 when every cell can be used, 1 when some cannot.

    Raises:
        ManifestError: A table is missing or is none.
    """
    console = Console()
    checked = check_cases(cases)
    entries = read_slides(slides, heads=(), unknown_labels="skip") if slides else None
    notes = [] if entries is None else join_notes(checked.cases, entries)
    for line in (*checked.errors, *(f"{warning} (warning)" for warning in checked.warnings), *notes):
        console.print(Text(line), soft_wrap=True)
    rows, wrong = len(checked.cases), len(checked.errors)
    console.print(
        f"{rows} row{'s' if rows != 1 else ''}, {wrong} to correct, {len(checked.warnings)} to look at again"
    )
    return 1 if checked.errors else 0
