"""``inkdot evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from inkdot.cli.options import ModelPath, Workers, slides_or_images


def evaluate(
    model: ModelPath,
    out: Annotated[Path, typer.Option(help="Output folder: evaluation.html and evaluation.json.")],
    slides: Annotated[
        Path | None,
        typer.Option(help="A slides.csv with labels; where it has a column split, its test slides are used."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Instead of slides: an images.csv of labelled images.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="Config file with what annotations mean, or with the columns of images.csv."
        ),
    ] = None,
    allow_synthetic_model: Annotated[
        bool,
        typer.Option(
            "--allow-synthetic-model",
            help="Evaluate a model trained on synthetic slides on real ones (meaningless metrics).",
        ),
    ] = False,
    workers: Workers = 2,
) -> None:
    """Evaluate a model on held-out slides or images.

    Metrics, each with a confidence interval by resampling patients: AUC, sensitivity and specificity, calibration, FROC,
    selective prediction (abstention) and subgroups.
    """
    from inkdot.config import load_config
    from inkdot.stages import evaluate as stage

    table, of_images = slides_or_images(slides, images)
    settings = load_config(config) if config else None
    if of_images:
        raise typer.Exit(
            stage.run_images(model, table, out, config=settings, allow_synthetic_model=allow_synthetic_model)
        )
    raise typer.Exit(
        stage.run(
            model, table, out, config=settings, workers=workers, allow_synthetic_model=allow_synthetic_model
        )
    )
