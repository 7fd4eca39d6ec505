"""``inkdot case templates``: write the files that a laboratory fills in or confirms."""

from importlib.resources import files
from pathlib import Path

from rich.console import Console

from inkdot.cases.published_models import TEMPLATES, template_text
from inkdot.cases.worked_example import worked_example_text
from inkdot.errors import UserError
from inkdot.storage.atomic import write_text


def run(out: Path) -> int:
    """Write ``cases.csv`` with the worked example, ranges, rules of the evidence level, and published models.

    Args:
        out: Folder; files that exist are never replaced.

    Returns:
        0.

    Raises:
        UserError: One of the files exists, or nothing can be written there.
    """
    data = files("inkdot.cases") / "data"
    texts = {
        "cases.csv": worked_example_text(),
        **{
            name: (data / name).read_text(encoding="utf-8")
            for name in ("reference_ranges.yaml", "evidence_rules.yaml")
        },
        **{name: template_text(name) for name in TEMPLATES},
    }
    if existing := [name for name in texts if (out / name).exists()]:
        raise UserError(
            f"{out / existing[0]}: expected no file there, found one; choose another --out, or move it away"
        )
    for name, text in texts.items():
        write_text(out / name, text)
    Console(stderr=True).print(f"{out}: {', '.join(texts)}", soft_wrap=True, markup=False, highlight=False)
    return 0
