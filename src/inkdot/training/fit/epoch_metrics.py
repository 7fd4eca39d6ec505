"""Losses and metrics of an epoch on validation data, their row in ``metrics.csv``, and which epoch is better."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import csv
import io
from collections.abc import Iterable, Mapping
from typing import cast

import numpy as np
import torch

from inkdot.config import Config, Monitored, TrainingConfig
from inkdot.datasets.class_weights import balanced_weights, fit_temperatures
from inkdot.datasets.tile_set import TileSet
from inkdot.errors import UserError
from inkdot.evaluation.head_metrics import auc_metrics, patient_metrics
from inkdot.labels import head_slices
from inkdot.metrics.intervals.confidence_intervals import Estimate
from inkdot.model.calibrated_scores import calibrated_scores
from inkdot.model.network import TileNetwork
from inkdot.model.runtimes.torch_backend import LogitArray, predict_logits
from inkdot.model.targets import FloatArray, NameArray, TargetArray
from inkdot.training.fit.loss import Loss, masked_loss

Row = Mapping[str, float | None]
"""One epoch: column names of ``metrics.csv`` and their values, None where undefined."""

_REPLICATES = 200


def validation_row(network: TileNetwork, tiles: TileSet, config: Config, device: torch.device) -> Row:
    """Losses and AUC on the validation tiles, AUC and average precision on their patients.

    ``calibrated_loss`` is the loss at the best temperatures and the default of ``training.monitor``: the plain loss also
    counts overconfidence, which the temperatures that are fitted after training remove.
    """
    batch = config.training.tiles_at_once
    logits = predict_logits(network, tiles.tiles(), device=device, batch_size=batch)
    temperatures, weights = fit_temperatures(logits, tiles, config), balanced_weights(tiles, config)
    plain = scaled_loss(logits, {}, tiles.targets, weights, config)
    row: dict[str, float | None] = {"loss": float(plain.total)}
    row |= {f"loss.{name}": float(value) for name, value in plain.per_head.items()}
    row["calibrated_loss"] = float(scaled_loss(logits, temperatures, tiles.targets, weights, config).total)
    return row | cells(monitored_metrics(logits, temperatures, tiles.targets, tiles.patients, config))


def scaled_loss(
    logits: LogitArray,
    temperatures: Mapping[str, float],
    targets: TargetArray,
    weights: FloatArray,
    config: Config,
) -> Loss:
    """Loss of logits divided by the temperature of their head, 1 where none is given; weights of rows, shape [n]."""
    heads = config.head_records
    scaled = [
        torch.from_numpy(logits[:, own]) / temperatures.get(name, 1.0)
        for name, own in head_slices(heads).items()
    ]
    return masked_loss(
        torch.cat(scaled, dim=1),
        torch.from_numpy(targets),
        heads,
        config.training.head_weights,
        torch.from_numpy(weights),
    )


def monitored_metrics(
    logits: LogitArray,
    temperatures: Mapping[str, float],
    targets: TargetArray,
    patients: NameArray,
    config: Config,
) -> dict[str, Estimate | None]:
    """Metrics of tiles or slides, and of their patients.

    Args:
        logits: Shape [n, classes of all heads].
        temperatures: By head. Patients are compared across their tiles by calibrated scores, as after training.
        targets: NaN where unknown, same shape.
        patients: Shape [n].
        config: The whole config.

    Raises:
        UserError: A logit is not finite.
    """
    # The losses of an epoch are those before each step, so they do not show what the last step did.
    if not np.isfinite(logits).all():
        raise UserError(
            "training: expected finite scores of the validation data, found some infinite or undefined; lower "
            "training.learning_rate, or use precision: 32-true"
        )
    heads, seed = config.head_records, config.training.seed
    metrics = auc_metrics(
        calibrated_scores(logits, heads, {}), targets, patients, heads, replicates=_REPLICATES, seed=seed
    )
    calibrated = calibrated_scores(logits, heads, temperatures)
    return metrics | patient_metrics(calibrated, targets, patients, heads, replicates=_REPLICATES, seed=seed)


def cells(metrics: Mapping[str, Estimate | None]) -> dict[str, float | None]:
    """Metrics as columns of a row, each with the ends of its interval; None where undefined."""
    row: dict[str, float | None] = {}
    for name, estimate in metrics.items():
        row[name] = estimate.value if estimate else None
        row[f"{name}.low"] = estimate.low if estimate else None
        row[f"{name}.high"] = estimate.high if estimate else None
    return row


def is_better(row: Row, best: Row, prefix: str, monitor: Monitored) -> bool:
    """Whether an epoch is better than the best one so far.

    Few patients give few different AUCs: among epochs with the same AUC, the lower calibrated loss is better. It also decides
    where the AUC of patients is undefined.
    """
    return _rank(row, prefix, monitor) < _rank(best, prefix, monitor)


def epoch_row(epoch: int, rate: float, losses: Mapping[str, float], validation: Row, prefix: str) -> Row:
    """Row of one epoch in ``metrics.csv``.

    Args:
        epoch: From 0.
        rate: Learning rate of its last step.
        losses: Means over its steps, by head; the whole under the empty name.
        validation: What :func:`validation_row` gave.
        prefix: Put before the names of metrics on the validation tiles.
    """
    row: dict[str, float | None] = {"epoch": epoch + 1, "learning_rate": rate}
    row |= {f"train_loss.{name}" if name else "train_loss": value for name, value in losses.items()}
    return row | {prefix + name: value for name, value in validation.items()}


def metrics_csv_text(rows: Iterable[Row]) -> str:
    """Content of ``metrics.csv``."""
    rows = list(rows)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return buffer.getvalue()


def epoch_line(row: Row, epochs: int, prefix: str) -> str:
    """One line on an epoch for the terminal."""
    metrics = [f"{prefix}calibrated_loss {row[prefix + 'calibrated_loss']:.4f}"]
    shown = (f"{prefix}auc.", f"{prefix}patient_auc")
    for name in (name for name in row if name.startswith(shown) and f"{name}.low" in row):
        value = row[name]
        if value is not None:
            low, high = row[f"{name}.low"], row[f"{name}.high"]
            # How the intervals module marks too few patients for an interval: any value is possible.
            span = "interval not known" if (low, high) == (0.0, 1.0) else f"{low:.3f} to {high:.3f}"
            metrics.append(f"{name} {value:.3f} ({span})")
    return f"epoch {row['epoch']} of {epochs}: train_loss {row['train_loss']:.4f}, {', '.join(metrics)}"


def best_epoch_note(best_epoch: int, settings: TrainingConfig) -> str:
    """Sentence for the model card: which epoch's weights were kept, and why."""
    why = {
        "calibrated_loss": "the lowest calibrated validation loss",
        "patient_auc": "the highest AUC over validation patients",
    }[settings.monitor]
    return f"Weights of epoch {best_epoch} of {settings.epochs}, which had {why}."


def _rank(row: Row, prefix: str, monitor: Monitored) -> tuple[float, float]:
    """The lower the better."""
    auc = row.get(f"{prefix}patient_auc") if monitor == "patient_auc" else None
    return -(auc or 0.0), cast(float, row[f"{prefix}calibrated_loss"])


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
