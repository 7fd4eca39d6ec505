"""``inkdot run``."""

from pathlib import Path
from typing import Annotated

import typer

from inkdot.cli.options import AsJson, ModelPath, Mpp, Preparation, SlideTimeout, Stain, Workers


def run(
    slides: Annotated[
        list[Path],
        typer.Argument(metavar="SLIDES...", help="Folders of slides, slides.csv files, or slides."),
    ],
    model: ModelPath,
    out: Annotated[
        Path, typer.Option(help="Folder for all outputs: OUT/results and OUT/review. A rerun resumes.")
    ],
    mpp: Mpp = None,
    stain: Stain = None,
    preparation: Preparation = None,
    allow_synthetic_model: Annotated[
        bool,
        typer.Option(
            "--allow-synthetic-model",
            help="Score real slides with a model trained on synthetic ones (meaningless scores).",
        ),
    ] = False,
    allow_unknown_scale: Annotated[
        bool,
        typer.Option(
            "--allow-unknown-scale", help="Score slides with a model trained on images of unknown scale."
        ),
    ] = False,
    open_page: Annotated[
        bool,
        typer.Option(
            "--open/--no-open",
            help="Open the review page at the end, where there is a display to open it on.",
        ),
    ] = True,
    workers: Workers = 2,
    slide_timeout: SlideTimeout = 600,
    as_json: AsJson = False,
) -> None:
    """Check, score and review slides in one step.

    As `doctor`, `predict` and `review export` one after another, with the model's own settings, and one summary. A slide that
    cannot be used is listed and does not stop the others. The single commands have more options.
    """
    from inkdot.cli import run_steps
    from inkdot.execution.backends import ExecutionSettings
    from inkdot.pipeline.batch_settings import BatchSettings, SlideOverrides
    from inkdot.stages.predict import PredictSettings

    code = run_steps.run(
        slides,
        model,
        out,
        PredictSettings(allow_synthetic_model=allow_synthetic_model, allow_unknown_scale=allow_unknown_scale),
        BatchSettings(
            overrides=SlideOverrides(mpp, stain, preparation),
            execution=ExecutionSettings(workers, slide_timeout or None),
        ),
        open_page=open_page and not as_json,
        as_json=as_json,
    )
    raise typer.Exit(code)
