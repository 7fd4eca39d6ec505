"""``inkdot stress``."""

from pathlib import Path
from typing import Annotated

import typer

from inkdot.cli.options import Changes, config_of


def stress(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder, such as RUN/model.")],
    out: Annotated[Path, typer.Option(help="Output folder: stress.svg, stress.md and stress.json.")],
    images: Annotated[
        Path | None,
        typer.Option(help="An images.csv of labelled images; of a column split its test images are used."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Instead: a run folder of training on slides; the labelled tiles of its validation slides."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Config file with the columns of images.csv.")
    ] = None,
    changes: Changes = None,
    corruption: Annotated[
        list[str] | None,
        typer.Option(
            help="stain_amount, stain_hue, colour_cast, exposure, blur, jpeg or size; repeat for several; default: all."
        ),
    ] = None,
    max_tiles: Annotated[int, typer.Option(min=10, help="Number of tiles at most, evenly over all.")] = 300,
) -> None:
    """Robustness of a model: AUC and calls under graded stain, colour, exposure, blur, JPEG and size.

    Levels are in physical units (µm, stops, %). Intervals are by resampling patients.
    """
    from inkdot.stages import stress as stage

    settings = config_of(config, changes)
    raise typer.Exit(
        stage.run(
            model,
            out,
            images=images,
            run_folder=run,
            config=settings,
            corruptions=corruption or (),
            most=max_tiles,
        )
    )
