"""The commands of `inkdot review study`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from inkdot.cli.options import Changes, config_of
from inkdot.labels import DEFAULT_HEADS

study = typer.Typer(
    help="Reader studies: blinded and with scores, with a wash-out, and tables for MRMC analysis.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Results = Annotated[Path, typer.Option(help="Results folder of `inkdot predict`.")]


@study.command("make")
def make(
    results: _Results,
    reader: Annotated[list[str], typer.Option(help="Pseudonym of a reader; repeatable.")],
    seed: Annotated[int, typer.Option(help="Seed of all orders; recorded in the study.")],
    out: Annotated[Path, typer.Option(help="The study to write.")] = Path("study.json"),
    cases: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Text file, one slide per line [default: all analysed slides]."
        ),
    ] = None,
    training: Annotated[
        list[str] | None,
        typer.Option(help="Slide shown first, to learn the program; does not count; repeatable."),
    ] = None,
    washout_days: Annotated[
        float, typer.Option(min=0, max=3650, help="Least days between a reader's two readings (wash-out).")
    ] = 14.0,
    top: Annotated[int | None, typer.Option(min=1, max=120, help="Regions per slide [default: 30].")] = None,
) -> None:
    """Draw orders and arms for every reader, once.

    Each reader reads every case twice: blinded, and with scores.
    """
    from inkdot.stages.review import study as stage

    raise typer.Exit(
        stage.make(
            results,
            out,
            readers=reader,
            seed=seed,
            cases=cases,
            training=training or (),
            washout_days=washout_days,
            top_n=top,
        )
    )


@study.command("tables")
def tables(
    study: Annotated[Path, typer.Argument(help="study.json of `inkdot review study make`.")],
    results: _Results,
    truth: Annotated[
        Path, typer.Option(help="slides.csv whose label of the flagging head is the truth of each case.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the tables.")],
    verdicts: Annotated[
        Path | None, typer.Option(help="The server's reviews.sqlite [default: RESULTS/reviews.sqlite].")
    ] = None,
    positive_from: Annotated[
        Literal["atypical", "suspicious", "malignant"],
        typer.Option(help="Lowest category that counts as positive."),
    ] = "suspicious",
    longest_pause: Annotated[
        float,
        typer.Option(min=1, metavar="SECONDS", help="Longer times between two answers are not counted."),
    ] = 300.0,
    config: Annotated[
        Path | None,
        typer.Option(help="Config file whose heads were reviewed, unless they are the default ones."),
    ] = None,
    changes: Changes = None,
) -> None:
    """Write tables for iMRMC and MRMCaov, times, and a summary.

    Sensitivity, specificity, AUC, seconds and kappa in both arms, with intervals.
    """
    from inkdot.stages.review import study as stage

    settings = config_of(config, changes)
    raise typer.Exit(
        stage.tables(
            study,
            results,
            out,
            truth=truth,
            verdicts=verdicts,
            heads=settings.head_records if settings else DEFAULT_HEADS,
            positive_from=positive_from,
            longest_pause_s=longest_pause,
        )
    )
