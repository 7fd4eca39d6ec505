"""The commands of `inkdot cell-finder`."""

from pathlib import Path
from typing import Annotated

import typer

cell_finder = typer.Typer(
    help="Fine-tune the cell finder on verdicts, or show its card.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@cell_finder.command("fine-tune")
def fine_tune(
    corrections: Annotated[
        list[Path],
        typer.Argument(
            metavar="CORRECTIONS...", help="Tables of `inkdot review import --finder-corrections`."
        ),
    ],
    slides: Annotated[Path, typer.Option(help="The slides.csv (or folder) that lists their slides.")],
    out: Annotated[Path, typer.Option(help="New folder for the cell finder.")],
    base: Annotated[str, typer.Option(help="Cell finder to start from: shipped, or a folder.")] = "shipped",
    folds: Annotated[
        int,
        typer.Option(
            min=0, max=20, help="Networks trained without some patients, to be tried on these; 0: none."
        ),
    ] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the optimiser, for each network.")] = 240,
    learning_rate: Annotated[float, typer.Option(min=1e-7, max=1.0, help="Highest learning rate.")] = 5e-4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all draws.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
) -> None:
    """Train the cell finder on readers' corrections ("not a cell").

    It keeps what it knew elsewhere. The card in OUT has the metrics before and after on patients that were left out.
    """
    from inkdot.stages.cell_finder import fine_tune as stage
    from inkdot.training.cell_finder.distillation import FineTuneSettings

    settings = FineTuneSettings(steps=steps, learning_rate=learning_rate, seed=seed)
    raise typer.Exit(
        stage.run(
            corrections, slides=slides, out=out, base=base, folds=folds, device=device, settings=settings
        )
    )


@cell_finder.command("show")
def show(
    folder: Annotated[
        str, typer.Argument(metavar="[FOLDER]", help="Folder of a cell finder, or shipped.")
    ] = "shipped",
) -> None:
    """Check the files of a cell finder, and print its card."""
    from inkdot.stages.cell_finder import show as stage

    raise typer.Exit(stage.run(folder))
