"""``inkdot case probability``: a published model for each case, where every predictor is known."""

import csv
import io
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inkdot.cases.case_record import Case
from inkdot.cases.model_probability import probability_of
from inkdot.cases.published_models import (
    PublishedModel,
    PublishedProbability,
    read_published_model,
    require_complete,
)
from inkdot.cases.read_cases import read_cases
from inkdot.review.wording import RESEARCH_USE
from inkdot.storage.atomic import write_text
from inkdot.storage.tables.predictions import spreadsheet_safe


def run(model_path: Path, cases: Path, out: Path | None = None) -> int:
    """Print or write the probability of each case, or what it lacks.

    Args:
        model_path: A file of the format ``inkdot.published-model/1``.
        cases: ``cases.csv``.
        out: CSV file to write instead of printing.

    Returns:
        0 when at least one case has a probability, 1 when each lacks a predictor.

    Raises:
        ConfigError: The model is wrong, or its numbers are not filled in.
        ManifestError: The table is wrong.
    """
    model = read_published_model(model_path)
    require_complete(model, str(model_path))
    found = [(case, probability_of(model, case)) for case in read_cases(cases)]
    computed = sum(result.probability is not None for _, result in found)
    console = Console(stderr=out is not None)
    if out is not None:
        write_text(out, _table_text(model, found))
    else:
        console.print(_table(model, found))
    for line in (
        f"{model.name} ({model.source}): {model.caution}",
        f"coefficients from: {model.coefficients_from}; outcome: {model.outcome}",
        f"{computed} of {len(found)} cases have every predictor. {RESEARCH_USE}",
    ):
        console.print(Text(line), soft_wrap=True)
    return 0 if computed else 1


def _table(model: PublishedModel, found: list[tuple[Case, PublishedProbability]]) -> Table:
    table = Table(title=Text(model.name), title_justify="left")
    for name in ("patient", "specimen", "probability", "missing, notes"):
        table.add_column(name, overflow="fold")
    for case, result in found:
        shown = "-" if result.probability is None else f"{result.probability:.3f}"
        remarks = "\n".join((*result.missing, *result.notes))
        table.add_row(Text(case.patient_id), Text(case.specimen_id), shown, Text(remarks))
    return table


def _table_text(model: PublishedModel, found: list[tuple[Case, PublishedProbability]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["patient_id", "specimen_id", "probability", "missing", "notes", "model", "source", "caution", "use"]
    )
    for case, result in found:
        cells = [
            case.patient_id,
            case.specimen_id,
            "" if result.probability is None else f"{result.probability:.6f}",
            "; ".join(result.missing),
            "; ".join(result.notes),
            model.name,
            model.source,
            model.caution,
            RESEARCH_USE,
        ]
        writer.writerow([spreadsheet_safe(cell) for cell in cells])
    return buffer.getvalue()
