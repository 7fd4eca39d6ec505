"""The commands of `inkdot model`, and `inkdot encoders`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from inkdot.cli.options import AsJson

model = typer.Typer(
    help="Show, verify or export a model.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder, such as RUN/model.")]


@model.command("show")
def show(folder: _Model, as_json: AsJson = False) -> None:
    """Print heads, training data and validation metrics."""
    from inkdot.stages.model import show as stage

    raise typer.Exit(stage.run(folder, as_json=as_json))


@model.command("verify")
def verify(folder: _Model) -> None:
    """Check that a model's files belong together, and score a test tile."""
    from inkdot.stages.model import verify as stage

    raise typer.Exit(stage.run(folder))


@model.command("export")
def export(
    folder: _Model,
    format_: Annotated[
        Literal["onnx", "openvino", "wsinfer"],
        typer.Option("--format", help="wsinfer: for WSInfer and QuPath's WSInfer extension."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    allow_synthetic_model: Annotated[
        bool,
        typer.Option(
            "--allow-synthetic-model",
            help="Export a model trained on synthetic slides; other programs do not refuse it on real ones.",
        ),
    ] = False,
) -> None:
    """Write a model for other programs.

    The exported network is run once, and its scores are compared with those of Inkdot.
    """
    from inkdot.stages.model import export as stage

    raise typer.Exit(stage.run(folder, format_, out, allow_synthetic_model=allow_synthetic_model))


def encoders(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="An encoder; left out: the table.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List published encoders (UNI, Virchow, CROWN, …) by name.

    Each may stand in model.backbone of a config, as may any timm model, hf-hub:OWNER/NAME and local-dir:FOLDER.
    """
    from inkdot.stages import encoders as stage

    raise typer.Exit(stage.run(name, as_json=as_json))
