"""Train from Python: `inkdot train` as functions."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from inkdot.api.frames import csv_to_arrow, to_pandas
from inkdot.api.model import Model, load_model
from inkdot.api.python_words import at_least_one, python_words
from inkdot.api.settings import as_config
from inkdot.config import Config
from inkdot.storage.layout import RunLayout

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A finished training run. Made by :func:`train_images` and :func:`train_slides`.

    Attributes:
        folder: The run folder; ``folder / "model"`` is the model.
        complete: Every image or slide could be used; else the console names those that could not.
    """

    folder: Path
    complete: bool

    @property
    def model(self) -> Model:
        """The trained model."""
        return load_model(RunLayout(self.folder).model)

    def history(self) -> pd.DataFrame:
        """One row per epoch: losses and validation metrics, with 95 % intervals in ``<metric>.low`` and ``<metric>.high``.

        Raises:
            UserError: pandas is not installed.
        """
        return to_pandas(self.history_arrow())

    def history_arrow(self) -> pa.Table:
        """The same as Arrow: the table ``metrics.csv``."""
        return csv_to_arrow(RunLayout(self.folder).metrics_csv)

    def split(self) -> pd.DataFrame:
        """Which slide or image was used for training, which for validation: the table ``split.csv``.

        Raises:
            UserError: pandas is not installed.
        """
        return to_pandas(csv_to_arrow(RunLayout(self.folder).split_csv))


def train_images(
    images: str | os.PathLike[str], config: Config | str | os.PathLike[str], out: str | os.PathLike[str]
) -> TrainingRun:
    """Train on labelled images, as `inkdot train --images`. A rerun with the same settings continues.

    Args:
        images: An ``images.csv``: path, patient_id, mpp and a column per head; ``config.images`` names other columns.
        config: Settings of :func:`inkdot.load_config`, or their file.
        out: The run folder.

    Raises:
        UserError: The table or the settings do not make a model; the message states what is missing.

    Examples:
        >>> run = inkdot.train_images("images.csv", inkdot.load_config("configs/demo.yaml"), "run")
        >>> run.model.metrics()
    """
    settings = as_config(config)
    with python_words():
        from inkdot.stages import train  # loads the training libraries

        return TrainingRun(Path(out), train.run_images(settings, Path(images), Path(out)) == 0)


def train_slides(
    slides: str | os.PathLike[str],
    config: Config | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    workers: int = 1,
) -> TrainingRun:
    """Train on labelled slides, as `inkdot train --slides`. Slides that are not tiled yet are tiled.

    Args:
        slides: A ``slides.csv`` whose slides have labels or annotations.
        config: Settings of :func:`inkdot.load_config`, or their file.
        out: The run folder.
        workers: Processes that tile and read slides.

    Raises:
        UserError: The slides or the settings do not make a model; the message states what is missing.
    """
    settings, processes = as_config(config), at_least_one("workers", workers)
    with python_words():
        from inkdot.stages import train  # loads the training libraries

        return TrainingRun(Path(out), train.run(settings, Path(slides), Path(out), workers=processes) == 0)
