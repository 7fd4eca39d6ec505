"""The training loop, on Lightning Fabric: the same lines on a CPU, CUDA or MPS, with or without AMP."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from lightning.fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.optim import AdamW

from inkdot.artefacts.atomic import write_text
from inkdot.artefacts.layout import RunLayout
from inkdot.config import Config, TrainingConfig
from inkdot.errors import UserError
from inkdot.model.augment import Augmentation
from inkdot.model.balancing import balanced_weights, fit_temperatures
from inkdot.model.checkpoint import RunState, manual_seed, read_state, restore, write_checkpoint
from inkdot.model.data import EpochDraws, TileSet, training_loader
from inkdot.model.figures import auc_figures
from inkdot.model.loss import Loss, masked_loss
from inkdot.model.network import TileNetwork
from inkdot.model.predicting import place, predict_logits
from inkdot.model.scorer import scores_of
from inkdot.model.selection import head_slices

Row = Mapping[str, float | None]

_EPOCH_REPLICATES = 200


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run learns from and what it is watched on.

    Attributes:
        training: Tiles to learn from.
        validation: Tiles of other patients.
        figures_prefix: Put before the names of figures on the validation tiles.
        identity: Hash of everything that shapes the run.
    """

    training: TileSet
    validation: TileSet
    figures_prefix: str
    identity: str


def fit(
    network: TileNetwork, data: TrainingData, config: Config, layout: RunLayout, console: Console
) -> RunState:
    """Train, writing ``metrics.csv`` and the checkpoints after each epoch; go on where an earlier run stopped.

    The network ends with the weights of the epoch of the lowest calibrated validation loss, on the CPU. On a CPU,
    with the same number of threads, the same data and config give the same bytes, interrupted or not.

    Raises:
        UserError: The accelerator or precision is not to be had on this machine, or the loss is no longer finite.
    """
    settings = config.training
    fabric = _fabric(settings)
    place(network, fabric.device)
    optimizer = AdamW(_parameter_groups(network, settings.weight_decay), lr=settings.learning_rate)
    state = _state_so_far(layout, data.identity)
    if state.epoch:
        restore(layout.last_checkpoint, network, optimizer)
        console.print(f"going on after epoch {state.epoch} of an earlier run with the same settings and data")
    draws = EpochDraws(balanced_weights(data.training, config), settings.batch_size, settings.seed)
    loader = training_loader(data.training, Augmentation(config.augmentation), draws, settings.workers)
    model, wrapped = fabric.setup(network, optimizer)
    batches = fabric.setup_dataloaders(loader, use_distributed_sampler=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(
            "training", total=settings.epochs * len(draws), completed=state.epoch * len(draws)
        )
        for epoch in range(state.epoch, settings.epochs):
            draws.epoch = epoch
            manual_seed(settings.seed, epoch)
            model.train()
            means = _Means()
            for step, (pixels, targets) in enumerate(cast("Iterable[tuple[Tensor, Tensor]]", batches)):
                rate = learning_rate_at(epoch * len(draws) + step, settings.epochs * len(draws), settings)
                for group in wrapped.param_groups:
                    group["lr"] = rate
                loss = masked_loss(model(pixels), targets, network.spec.heads, settings.head_weights)
                wrapped.zero_grad()
                fabric.backward(loss.total)
                wrapped.step()
                means.add({"": loss.total, **loss.per_head})
                bar.update(task, advance=1, description=f"epoch {epoch + 1} of {settings.epochs}")
            rate = cast(float, wrapped.param_groups[0]["lr"])
            row = _row(epoch, rate, means.values(), _validate(network, data, config, fabric.device), data)
            state = _record(state, row, data, network, optimizer, layout)
            bar.console.print(
                _line(row, settings.epochs, data.figures_prefix), highlight=False, soft_wrap=True
            )
    restore(layout.best_checkpoint, network)
    network.cpu()
    return state


def learning_rate_at(step: int, steps: int, settings: TrainingConfig) -> float:
    """Linear warm-up to the peak, then half a cosine down to nearly nothing; a pure function of the step."""
    warmup = max(1, round(settings.warmup_fraction * steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    share = (step - warmup + 1) / (steps - warmup + 1)
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))


def _state_so_far(layout: RunLayout, identity: str) -> RunState:
    state = read_state(layout.last_checkpoint, identity)
    if state is None or read_state(layout.best_checkpoint, identity) is None:
        return RunState(identity)
    return state


def _fabric(settings: TrainingConfig) -> Fabric:
    try:
        fabric = Fabric(accelerator=settings.accelerator, devices=1, precision=settings.precision)
        fabric.launch()
    except (RuntimeError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"training.accelerator {settings.accelerator!r} with precision {settings.precision!r}: not to be had on this "
            f"machine ({reason}); use accelerator: auto and precision: 32-true"
        ) from None
    return fabric


def _parameter_groups(network: TileNetwork, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices and filters only: decaying biases and normalisation scales hurts."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


class _Means:
    """Means of losses over the steps of an epoch, without waiting for the device at every step."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def add(self, losses: Mapping[str, Tensor]) -> None:
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(loss)) + loss.detach()
        self._steps += 1

    def values(self) -> dict[str, float]:
        means = {name: float(total) / self._steps for name, total in self._sums.items()}
        if not all(math.isfinite(mean) for mean in means.values()):
            raise UserError(
                "training: expected a finite loss, found it has become infinite or undefined; "
                "lower training.learning_rate, or use precision: 32-true"
            )
        return means


def _validate(
    network: TileNetwork, data: TrainingData, config: Config, device: torch.device
) -> dict[str, float | None]:
    """Losses and AUC on the validation tiles.

    ``calibrated_loss`` is the loss at the best temperatures. It chooses the epoch: the plain loss punishes an
    overconfidence that the temperatures, fitted after training, take away.
    """
    tiles, settings, heads = data.validation, config.training, network.spec.heads
    logits = predict_logits(network, tiles.tiles(), device=device, batch_size=settings.batch_size)
    temperatures = fit_temperatures(logits, tiles, config)
    targets, weights = torch.from_numpy(tiles.targets), torch.from_numpy(balanced_weights(tiles, config))

    def losses(divided: Mapping[str, float]) -> Loss:
        scaled = [
            torch.from_numpy(logits[:, own]) / divided.get(name, 1.0)
            for name, own in head_slices(heads).items()
        ]
        return masked_loss(torch.cat(scaled, dim=1), targets, heads, settings.head_weights, weights)

    plain = losses({})
    figures: dict[str, float | None] = {"loss": float(plain.total)}
    figures |= {f"loss.{name}": float(value) for name, value in plain.per_head.items()}
    figures["calibrated_loss"] = float(losses(temperatures).total)
    estimates = auc_figures(
        scores_of(logits, heads, {}),
        tiles.targets,
        tiles.patients,
        heads,
        replicates=_EPOCH_REPLICATES,
        seed=settings.seed,
    )
    for name, estimate in estimates.items():
        figures[name] = estimate.value if estimate else None
        figures[f"{name}.low"] = estimate.low if estimate else None
        figures[f"{name}.high"] = estimate.high if estimate else None
    return figures


def _row(
    epoch: int,
    rate: float,
    losses: Mapping[str, float],
    figures: Mapping[str, float | None],
    data: TrainingData,
) -> Row:
    row: dict[str, float | None] = {"epoch": epoch + 1, "learning_rate": rate}
    row |= {f"train_loss.{name}" if name else "train_loss": value for name, value in losses.items()}
    return row | {data.figures_prefix + name: value for name, value in figures.items()}


def _record(
    state: RunState, row: Row, data: TrainingData, network: TileNetwork, optimizer: AdamW, layout: RunLayout
) -> RunState:
    """Write what an epoch gave. ``last`` comes last: a kill before it repeats the epoch, to the same end."""
    loss = cast(float, row[data.figures_prefix + "calibrated_loss"])
    state = replace(state, epoch=state.epoch + 1, history=(*state.history, row))
    if loss < state.best_loss or not state.best_epoch:
        state = replace(state, best_epoch=state.epoch, best_loss=loss)
        write_checkpoint(layout.best_checkpoint, state, network)
    write_text(layout.metrics_csv, _csv(state.history))
    write_checkpoint(layout.last_checkpoint, state, network, optimizer)
    return state


def _csv(rows: Iterable[Row]) -> str:
    rows = list(rows)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return buffer.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _line(row: Row, epochs: int, prefix: str) -> str:
    figures = [f"{prefix}calibrated_loss {row[prefix + 'calibrated_loss']:.4f}"]
    for name in (name for name in row if name.startswith(f"{prefix}auc.") and f"{name}.low" in row):
        value = row[name]
        if value is not None:
            figures.append(f"{name} {value:.3f} ({row[name + '.low']:.3f} to {row[name + '.high']:.3f})")
    return f"epoch {row['epoch']} of {epochs}: train_loss {row['train_loss']:.4f}, {', '.join(figures)}"
