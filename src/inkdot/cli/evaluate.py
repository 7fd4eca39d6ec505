"""``inkdot evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from inkdot.cli.options import Changes, ModelPath, Workers, config_of, slides_or_images


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
    changes: Changes = None,
    allow_synthetic_model: Annotated[
        bool,
        typer.Option(
            "--allow-synthetic-model",
            help="Evaluate a model trained on synthetic slides on real ones (meaningless metrics).",
        ),
    ] = False,
    prevalence: Annotated[
        str,
        typer.Option(
            metavar="P,P,...",
            help="Shares of positive patients where the model will be used, such as 0.01,0.05: gives PPV, NPV and net benefit "
            "there.",
        ),
    ] = "",
    workers: Workers = 2,
) -> None:
    """Evaluate a model on held-out slides or images.

    Metrics, each with a confidence interval over patients: AUC, sensitivity and specificity, predictive values, decision curve,
    calibration, FROC, misses, the number of cells as a rival, further heads, selective prediction (abstention) and subgroups.
    """
    from inkdot.stages import evaluate as stage

    table, of_images = slides_or_images(slides, images)
    settings = config_of(config, changes)
    prevalences = _prevalences(prevalence)
    if of_images:
        code = stage.run_images(
            model, table, out,
            config=settings, allow_synthetic_model=allow_synthetic_model, prevalences=prevalences,
        )  # fmt: skip
        raise typer.Exit(code)
    code = stage.run(
        model, table, out,
        config=settings, workers=workers, allow_synthetic_model=allow_synthetic_model, prevalences=prevalences,
    )  # fmt: skip
    raise typer.Exit(code)


def _prevalences(text: str) -> list[float]:
    """Numbers separated by commas, each once, rising.

    Raises:
        UserError: One is not a number of more than 0 and less than 1.
    """
    from inkdot.errors import UserError

    found = set[float]()
    for word in filter(None, (part.strip() for part in text.split(","))):
        try:
            value = float(word)
        except ValueError:
            value = 0.0
        if not 0.0 < value < 1.0:
            raise UserError(
                f"--prevalence: expected numbers of more than 0 and less than 1, such as 0.01,0.05, found {word!r}; correct it"
            )
        found.add(value)
    return sorted(found)
