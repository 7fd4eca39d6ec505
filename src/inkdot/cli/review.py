"""The commands of `inkdot review`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from inkdot.cli.options import Changes, config_of
from inkdot.cli.review_study import study as study_commands
from inkdot.errors import UserError
from inkdot.labels import DEFAULT_HEADS, Head

if TYPE_CHECKING:
    from inkdot.config import ReviewConfig

review = typer.Typer(
    help="Review results with a pathologist, and import verdicts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

review.add_typer(study_commands, name="study")

_Verdicts = Annotated[
    list[Path],
    typer.Argument(
        metavar="VERDICTS...", help="verdicts.csv, a server's reviews.sqlite, or GeoJSON saved in QuPath."
    ),
]

_Results = Annotated[Path, typer.Option(help="Results folder of `inkdot predict`.")]

_HeadsOf = Annotated[
    Path | None,
    typer.Option("--config", help="Config file whose heads were reviewed, unless they are the default ones."),
]


# Options of both export and serve.
Top = Annotated[int | None, typer.Option(min=1, max=120, help="Regions per slide [default: 30].")]
ReviewSettings = Annotated[
    Path | None,
    typer.Option(
        "--config",
        exists=True,
        dir_okay=False,
        help="Config file; of its part `review` the number of regions and the categories of slides are used.",
    ),
]
Blinded = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="SEED", help="For reader studies: hide scores and calls, shuffle by this seed."
    ),
]
Pseudonymise = Annotated[
    bool,
    typer.Option(
        "--pseudonymise",
        help="Replace slide names by random pseudonyms; RESULTS/pseudonyms.csv maps them back.",
    ),
]

Cases = Annotated[
    Path | None,
    typer.Option(help="cases.csv: a panel of the case beside each slide; not in a blinded review."),
]
Ranges = Annotated[
    Path | None, typer.Option(help="Reference ranges of your laboratory (YAML), for the panel of the case.")
]


@review.command("export")
def export(
    results: _Results,
    out: Annotated[Path, typer.Option(help="Folder to hand over; open its index.html.")],
    top: Top = None,
    config: ReviewSettings = None,
    changes: Changes = None,
    blinded: Blinded = None,
    pseudonymise: Pseudonymise = False,
    identifiers: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Text file, one word per line; the export fails if the folder holds one of them.",
        ),
    ] = None,
    cases: Cases = None,
    ranges: Ranges = None,
) -> None:
    """Write the gallery, the worklist and the QuPath files."""
    from inkdot.stages.review import export as stage

    words = _lines(identifiers) if identifiers else ()
    raise typer.Exit(
        stage.run(
            results,
            out,
            config=_review(config, changes),
            top_n=top,
            blinded_seed=blinded,
            pseudonymise=pseudonymise,
            identifiers=words,
            cases=cases,
            ranges=ranges,
        )
    )


def _review(config: Path | None, changes: list[str] | None) -> "ReviewConfig":
    """The part `review` of a config, else the defaults."""
    from inkdot.config import ReviewConfig

    settings = config_of(config, changes)
    return settings.review if settings else ReviewConfig()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(
            f"{path}: expected a text file in UTF-8, found another encoding or none that can be read; save it as UTF-8"
        ) from None


@review.command("serve")
def serve(
    results: _Results,
    reader: Annotated[
        list[str] | None,
        typer.Option(help="Pseudonym of a reader; repeatable. Each reader gets an address of their own."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to bind; one that other computers can reach needs --tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to bind; 0 chooses a free one.")] = 8765,
    tokens: Annotated[
        Path | None,
        typer.Option(help="Readers and their tokens, so that addresses stay the same; created if missing."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A further host name of the server, such as that of a reverse proxy."),
    ] = None,
    verdicts: Annotated[
        Path | None, typer.Option(help="File of the verdicts [default: RESULTS/reviews.sqlite].")
    ] = None,
    top: Top = None,
    config: ReviewSettings = None,
    changes: Changes = None,
    blinded: Blinded = None,
    pseudonymise: Pseudonymise = False,
    annotations: Annotated[
        bool,
        typer.Option(
            "--annotations", help="Offer the slides' annotations as a layer; visible to all readers."
        ),
    ] = False,
    query_list: Annotated[
        Path | None,
        typer.Option(help="Active learning: show the regions of a list of `inkdot review next`."),
    ] = None,
    cases: Cases = None,
    ranges: Ranges = None,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the first reader's address in the browser.")
    ] = False,
    study: Annotated[
        Path | None,
        typer.Option(
            help="study.json of `inkdot review study make`: shows its one --reader the reading that is open."
        ),
    ] = None,
) -> None:
    """Serve slides and gallery to a browser; verdicts are saved at once."""
    from inkdot.serve.served_results import ServeSettings
    from inkdot.stages.review import serve as stage

    shown = _review(config, changes)
    if study is not None:
        _require_study_alone(top, blinded, query_list)
    settings = ServeSettings(
        shown.top_n if top is None else top,
        blinded,
        pseudonymise=pseudonymise,
        annotations=annotations,
        query_list=query_list,
        categories=shown.slide_categories,
        cases=cases,
        ranges=ranges,
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
            study=study,
        )
    )


def _require_study_alone(top: int | None, blinded: int | None, query_list: Path | None) -> None:
    if top is not None or blinded is not None or query_list is not None:
        raise UserError(
            "--study: expected no --top, --blinded or --query-list, which the study says; leave them out"
        )


@review.command("import")
def import_(
    verdicts: _Verdicts,
    out: Annotated[
        Path, typer.Option(help="The labels table to write, for the column annotation of slides.csv.")
    ],
    results: Annotated[
        Path | None,
        typer.Option(help="Results folder of the regions; needed for GeoJSON and pseudonyms."),
    ] = None,
    reader: Annotated[str, typer.Option(help="For GeoJSON: pseudonym of the reader who used QuPath.")] = "",
    config: _HeadsOf = None,
    changes: Changes = None,
    finder_corrections: Annotated[
        Path | None,
        typer.Option(
            help="Also write where readers saw a cell and where none, for `inkdot cell-finder fine-tune`."
        ),
    ] = None,
    not_a_cell: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL",
            help="Label of the flagging head for regions that are no cells, such as benign [default: no label].",
        ),
    ] = None,
    slides: Annotated[
        Path | None,
        typer.Option(
            help="A slides.csv, to write again with the labels that readers gave to slides; with --slides-out."
        ),
    ] = None,
    slides_out: Annotated[
        Path | None,
        typer.Option(help="The slides.csv to write; its column annotation names the labels table."),
    ] = None,
) -> None:
    """Turn verdicts into a labels table for training."""
    from inkdot.stages.review import import_verdicts as stage

    raise typer.Exit(
        stage.run(
            verdicts,
            out,
            heads=_heads(config, changes),
            results=results,
            reader=reader,
            finder_corrections=finder_corrections,
            not_a_cell=not_a_cell,
            slides=slides,
            slides_out=slides_out,
        )
    )


@review.command("report")
def report(
    results: Annotated[Path, typer.Argument(help="Results folder of `inkdot predict`.")],
    out: Annotated[Path, typer.Option(help="Folder of the reports.")],
    by: Annotated[
        Literal["slide", "patient"], typer.Option(help="One page per slide or per patient.")
    ] = "slide",
    verdicts: Annotated[
        list[Path] | None,
        typer.Option(
            help="verdicts.csv or a server's reviews.sqlite; repeatable [default: RESULTS/reviews.sqlite]."
        ),
    ] = None,
    slide: Annotated[
        list[str] | None, typer.Option(help="Only this slide, by its name or pseudonym; repeatable.")
    ] = None,
    pseudonymise: Annotated[
        bool,
        typer.Option(
            "--pseudonymise/--names",
            help="Show random pseudonyms, which RESULTS/pseudonyms.csv maps back, or the names of slides and patients.",
        ),
    ] = True,
    model: Annotated[
        Path | None,
        typer.Option(help="Model that made the results: names it, and what it was trained on, on the page."),
    ] = None,
    contact_sheet: Annotated[
        bool,
        typer.Option("--contact-sheet", help="Also write an image of each slide for a talk (PNG, 16:9)."),
    ] = False,
    identifiers: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Text file, one word per line; they are taken out of notes too."
        ),
    ] = None,
    cases: Cases = None,
    ranges: Ranges = None,
    config: _HeadsOf = None,
    changes: Changes = None,
) -> None:
    """Write one PDF page per slide or patient, to hand over."""
    from inkdot.stages.review import report as stage

    raise typer.Exit(
        stage.run(
            results,
            out,
            by=by,
            verdicts=verdicts or (),
            heads=_heads(config, changes),
            slides=slide or (),
            pseudonymise=pseudonymise,
            contact_sheet=contact_sheet,
            model=model,
            identifiers=_lines(identifiers) if identifiers else (),
            cases=cases,
            ranges=ranges,
        )
    )


@review.command("next")
def next_(
    results: _Results,
    out: Annotated[
        Path, typer.Option(help="The query list to write, for `inkdot review serve --query-list`.")
    ] = Path("next.csv"),
    count: Annotated[int, typer.Option(min=1, help="How many regions to select.")] = 100,
    reviewed: Annotated[
        list[Path] | None,
        typer.Option(help="Verdicts so far: verdicts.csv or reviews.sqlite; repeatable."),
    ] = None,
) -> None:
    """Active learning: select regions to review.

    They are uncertain, and differ from each other.
    """
    from inkdot.stages.review import next_regions as stage

    raise typer.Exit(stage.run(results, out, count=count, reviewed=reviewed or ()))


@review.command("agreement")
def agreement(verdicts: _Verdicts, config: _HeadsOf = None, changes: Changes = None) -> None:
    """Compute inter-reader agreement (kappa).

    Cohen's kappa of two readers, Fleiss' of several, with intervals.
    """
    from inkdot.stages.review import agreement as stage

    raise typer.Exit(stage.run(verdicts, heads=_heads(config, changes)))


def _heads(config: Path | None, changes: list[str] | None) -> tuple[Head, ...]:
    """The heads of a config, else the default ones."""
    settings = config_of(config, changes)
    return settings.head_records if settings else DEFAULT_HEADS
