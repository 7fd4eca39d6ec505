"""The commands of `inkdot review`."""

from pathlib import Path
from typing import Annotated

import typer

from inkdot.errors import UserError
from inkdot.labels import DEFAULT_HEADS, Head

review = typer.Typer(
    help="What the pathologist sees, and what comes back.", no_args_is_help=True, rich_markup_mode=None
)

_Verdicts = Annotated[
    list[Path],
    typer.Argument(
        metavar="VERDICTS...", help="verdicts.csv, a server's reviews.sqlite, or GeoJSON saved in QuPath."
    ),
]

_HeadsOf = Annotated[
    Path | None,
    typer.Option("--config", help="Settings whose heads were asked, where they are not the default ones."),
]


# What the page and the server both take.
Top = Annotated[int | None, typer.Option(min=1, max=120, help="Regions per slide; 30 where not given.")]
Blinded = Annotated[
    int | None,
    typer.Option(min=0, metavar="SEED", help="For reader studies: hide the scores, shuffle by this seed."),
]
Pseudonymise = Annotated[
    bool,
    typer.Option("--pseudonymise", help="Call slides by drawn names; RESULTS/pseudonyms.csv leads back."),
]


@review.command("export")
def export(
    results: Annotated[Path, typer.Option(help="Results folder of `inkdot predict`.")],
    out: Annotated[Path, typer.Option(help="Folder to hand over; open its index.html.")],
    top: Top = None,
    blinded: Blinded = None,
    pseudonymise: Pseudonymise = False,
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

    words = _lines(identifiers) if identifiers else ()
    raise typer.Exit(
        stage.run(results, out, top_n=top, blinded_seed=blinded, pseudonymise=pseudonymise, identifiers=words)
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(
            f"{path}: expected a text file in UTF-8, found another encoding or none that can be read; save it as UTF-8"
        ) from None


@review.command("serve")
def serve(
    results: Annotated[Path, typer.Option(help="Results folder of `inkdot predict`.")],
    reader: Annotated[
        list[str] | None,
        typer.Option(help="Pseudonym of a reader; once for each. Every reader gets an address of their own."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than this computer's own need --tokens.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")
    ] = 8765,
    tokens: Annotated[
        Path | None,
        typer.Option(
            help="Table of readers and tokens, so that addresses stay the same; made where missing."
        ),
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="A further host name that leads here, such as a proxy's.")
    ] = None,
    verdicts: Annotated[
        Path | None, typer.Option(help="Where verdicts are kept; RESULTS/reviews.sqlite where not given.")
    ] = None,
    top: Top = None,
    blinded: Blinded = None,
    pseudonymise: Pseudonymise = False,
    annotations: Annotated[
        bool,
        typer.Option(
            "--annotations", help="Offer the slides' annotations as a layer; readers see each other's."
        ),
    ] = False,
    ask: Annotated[
        Path | None,
        typer.Option(help="A list of `inkdot review next`: its regions instead of the highest scores."),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the first reader's address in the browser.")
    ] = False,
) -> None:
    """Serve the slides and the gallery to a browser; verdicts are kept at once."""
    from inkdot.serve.shown_results import ShowSettings
    from inkdot.stages import review_serve as stage

    settings = ShowSettings(
        top_n=top, blinded_seed=blinded, pseudonymise=pseudonymise, annotations=annotations, ask=ask
    )
    raise typer.Exit(
        stage.run(
            results,
            settings=settings,
            readers=reader or (),
            tokens=tokens,
            verdicts=verdicts,
            host=host,
            port=port,
            names=name or (),
            open_browser=open_browser,
        )
    )


@review.command("import")
def import_(
    verdicts: _Verdicts,
    out: Annotated[Path, typer.Option(help="The labels table to write; name it in the column annotation.")],
    results: Annotated[
        Path | None,
        typer.Option(
            help="Results folder that the regions came from: needed for GeoJSON, and for pseudonyms."
        ),
    ] = None,
    reader: Annotated[str, typer.Option(help="For GeoJSON: pseudonym of who reviewed in QuPath.")] = "",
    config: _HeadsOf = None,
) -> None:
    """Turn verdicts into a labels table for training."""
    from inkdot.stages import review_import as stage

    raise typer.Exit(stage.run(verdicts, out, heads=_heads(config), results=results, reader=reader))


@review.command("next")
def next_(
    results: Annotated[Path, typer.Option(help="Results folder of `inkdot predict`.")],
    out: Annotated[
        Path, typer.Option(help="The list to write; `inkdot review serve --ask` shows it.")
    ] = Path("next.csv"),
    count: Annotated[int, typer.Option(min=1, help="How many regions to ask about.")] = 100,
    reviewed: Annotated[
        list[Path] | None,
        typer.Option(help="Verdicts given already: verdicts.csv or reviews.sqlite; once for each."),
    ] = None,
) -> None:
    """List the regions whose verdicts would teach the model most: unsure of, and unlike each other."""
    from inkdot.stages import review_next as stage

    raise typer.Exit(stage.run(results, out, count=count, reviewed=reviewed or ()))


@review.command("agreement")
def agreement(verdicts: _Verdicts, config: _HeadsOf = None) -> None:
    """Say how well readers agree: Cohen's and Fleiss' kappa with intervals."""
    from inkdot.stages import review_agreement as stage

    raise typer.Exit(stage.run(verdicts, heads=_heads(config)))


def _heads(config: Path | None) -> tuple[Head, ...]:
    """The questions of a config; the two that Inkdot asks by itself where none is given."""
    from inkdot.config import load_config

    return load_config(config).head_records if config else DEFAULT_HEADS
