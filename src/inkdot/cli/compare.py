"""``inkdot compare``."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B ...",
            help="Run folders of train --folds, or outputs of evaluate; the others are compared with the first.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Output folder: compare.md, compare.json and compare.svg.")],
    labels: Annotated[
        Path | None,
        typer.Option(help="A slides.csv with labels: A B ... are then results of predict."),
    ] = None,
    common: Annotated[
        bool,
        typer.Option("--common", help="Compare the slides or images that all results have."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws of patients.")] = 0,
) -> None:
    """Compare models on the same patients.

    Each metric with its 95 % interval, its difference to the first model by a paired bootstrap over patients, and DeLong's
    test of the AUC.
    """
    from inkdot.stages import compare as stage

    raise typer.Exit(stage.run(results, out, labels=labels, common=common, seed=seed))
