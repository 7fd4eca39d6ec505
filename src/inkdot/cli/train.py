"""``inkdot train``."""

from pathlib import Path
from typing import Annotated

import typer

from inkdot.cli.options import Changes, ConfigPath, DryRun, Workers, slides_or_images

TRAIN_SETTINGS = """\b
Config keys (`inkdot init` explains all):
  training.mil                           multiple-instance learning (MIL) from slide labels, pseudo-labels
  training.checkpoint, training.monitor  which epoch is kept: last, or best
  training.early_stopping_patience       early stopping
  training.ema_decay                     exponential moving average (EMA) of the weights
  training.freeze_epochs, model.weights  start from pretrained weights
  model.freeze_backbone                  linear probe, or MIL on embeddings: the backbone is not trained
  training.target_selective_risk         abstention: calls close to the threshold are left indeterminate
  training.confidence_level              confidence with which sensitivity and selective risk are promised
  training.calibration_folds             lock on out-of-fold scores of all patients
  augmentation, model.tta_views          augmentation in training, and at test time (TTA)
"""


def train(
    config: ConfigPath,
    out: Annotated[Path, typer.Option(help="Run folder; the model is OUT/model.")],
    changes: Changes = None,
    slides: Annotated[Path | None, typer.Option(help="A slides.csv with labels or annotations.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Instead of slides: an images.csv of labelled images.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Cross-validate with this many folds instead of making one model."),
    ] = None,
    ensemble: Annotated[
        bool,
        typer.Option(
            "--ensemble",
            help="With --folds: make the models of the folds one model, OUT/model (an ensemble).",
        ),
    ] = False,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            help="Run folder with embeddings to reuse where encoder and tiles are the same; needs model.freeze_backbone."
        ),
    ] = None,
    workers: Workers = 2,
    dry_run: DryRun = False,
) -> None:
    """Train a model on labels of regions, slides (MIL) or images.

    A rerun with the same settings and data resumes after the last finished epoch. For several GPUs start it by torchrun:
    torchrun --nproc-per-node 2 -m inkdot train ...
    """
    from inkdot.config import load_config
    from inkdot.stages import train as stage

    table, of_images = slides_or_images(slides, images)
    settings = load_config(config, changes or ())
    if of_images:
        raise typer.Exit(
            stage.run_images(
                settings, table, out, folds=folds, ensemble=ensemble, dry_run=dry_run, embeddings=embeddings
            )
        )
    raise typer.Exit(
        stage.run(
            settings,
            table,
            out,
            workers=workers,
            folds=folds,
            ensemble=ensemble,
            dry_run=dry_run,
            embeddings=embeddings,
        )
    )
