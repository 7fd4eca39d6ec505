"""The commands of ``inkdot case``."""

from pathlib import Path
from typing import Annotated

import typer

case = typer.Typer(
    help="The case around the slide: cases.csv, cited ranges, evidence level, published models, counts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Cases = Annotated[Path, typer.Argument(metavar="CASES", help="cases.csv: one row per specimen or patient.")]
_Out = Annotated[Path | None, typer.Option(help="CSV file to write instead of printing.")]
Ranges = Annotated[
    Path | None,
    typer.Option(help="Reference ranges of your laboratory (YAML) instead of the published ones."),
]


@case.command()
def templates(
    out: Annotated[Path, typer.Option(help="Folder; files that exist are never replaced.")] = Path(
        "case-templates"
    ),
) -> None:
    """Write a cases.csv with a worked example, ranges, evidence rules and published models to fill in."""
    from inkdot.stages.case import templates as stage

    raise typer.Exit(stage.run(out))


@case.command()
def check(
    cases: _Cases,
    slides: Annotated[Path | None, typer.Option(help="slides.csv: names patients of only one table.")] = None,
) -> None:
    """Name every cell that cannot be, has another unit, or looks odd.

    `inkdot doctor` does the same for a cases.csv beside slides.csv.
    """
    from inkdot.stages.case import check as stage

    raise typer.Exit(stage.run(cases, slides))


@case.command()
def show(
    cases: _Cases,
    patient: Annotated[str | None, typer.Option(help="Only this patient_id.")] = None,
    ranges: Ranges = None,
    evidence_rules: Annotated[
        Path | None, typer.Option(help="Rules of the evidence level (YAML) that your laboratory has checked.")
    ] = None,
    out: _Out = None,
) -> None:
    """Show each case: values with cited ranges, what they cannot exclude, and the evidence level.

    The evidence level (EANO-ESMO) rests on what persons signed, never on a score.
    """
    from inkdot.stages.case import show as stage

    raise typer.Exit(stage.run(cases, patient=patient, ranges=ranges, evidence_rules=evidence_rules, out=out))


@case.command()
def probability(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A published model as a file (YAML or JSON).")
    ],
    cases: _Cases,
    out: _Out = None,
) -> None:
    """Compute a published logistic model or nomogram for each case.

    Missing predictors are named and never filled in.
    """
    from inkdot.stages.case import probability as stage

    raise typer.Exit(stage.run(model, cases, out))


@case.command()
def cps(
    stained_tumour_cells: Annotated[
        int, typer.Option(min=0, help="Stained viable tumour cells that you counted.")
    ],
    stained_immune_cells: Annotated[int, typer.Option(min=0, help="Stained lymphocytes and macrophages.")],
    viable_tumour_cells: Annotated[int, typer.Option(min=1, help="All viable tumour cells.")],
) -> None:
    """PD-L1 combined positive score (CPS) of counts that you made."""
    from inkdot.cases.counts import CPS_SOURCE, combined_positive_score
    from inkdot.errors import UserError

    try:
        score = combined_positive_score(stained_tumour_cells, stained_immune_cells, viable_tumour_cells)
    except ValueError as error:
        raise UserError(str(error)) from None
    typer.echo(
        f"CPS {score.value:.3g}{' (at most 100)' if score.capped else ''} = ({stained_tumour_cells} + "
        f"{stained_immune_cells}) / {viable_tumour_cells} x 100; tumour cells alone (TPS) {score.tumour_percent:.3g} %; "
        f"definition: {CPS_SOURCE}"
    )
