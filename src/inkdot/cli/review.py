"""The commands of `inkdot review`."""

from pathlib import Path
from typing import Annotated

import typer

review = typer.Typer(
    help="What the pathologist sees, and what comes back.", no_args_is_help=True, rich_markup_mode=None
)

_Verdicts = Annotated[
    list[Path],
    typer.Argument(metavar="VERDICTS...", help="verdicts.csv files, or GeoJSON files saved in QuPath."),
]


@review.command("export")
def export(
    results: Annotated[Path, typer.Option(help="Results folder of `inkdot predict`.")],
    out: Annotated[Path, typer.Option(help="Folder to hand over; open its index.html.")],
    top: Annotated[
        int | None, typer.Option(min=1, max=120, help="Places per slide; 30 where not given.")
    ] = None,
    blinded: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="SEED", help="For reader studies: hide the scores, shuffle by this seed."
        ),
    ] = None,
    pseudonymise: Annotated[
        bool,
        typer.Option("--pseudonymise", help="Call slides by drawn names; RESULTS/pseudonyms.csv leads back."),
    ] = False,
    identifiers: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Text file, one word per line, none of which may be found in the folder.",
        ),
    ] = None,
) -> None:
    """Write the gallery, the worklist and the QuPath files."""
    from inkdot.stages import review_export as stage

    words = identifiers.read_text(encoding="utf-8-sig").splitlines() if identifiers else ()
    raise typer.Exit(
        stage.run(results, out, top_n=top, blinded_seed=blinded, pseudonymise=pseudonymise, identifiers=words)
    )


@review.command("import")
def import_(
    verdicts: _Verdicts,
    out: Annotated[Path, typer.Option(help="The labels table to write; name it in the column annotation.")],
    results: Annotated[
        Path | None,
        typer.Option(
            help="Results folder that the places came from: needed for GeoJSON, and for pseudonyms."
        ),
    ] = None,
    reader: Annotated[str, typer.Option(help="For GeoJSON: pseudonym of who answered in QuPath.")] = "",
) -> None:
    """Turn answers into a labels table for training."""
    from inkdot.stages import review_import as stage

    raise typer.Exit(stage.run(verdicts, out, results=results, reader=reader))


@review.command("agreement")
def agreement(verdicts: _Verdicts) -> None:
    """Say how well readers agree: Cohen's and Fleiss' kappa with intervals."""
    from inkdot.stages import review_agreement as stage

    raise typer.Exit(stage.run(verdicts))
