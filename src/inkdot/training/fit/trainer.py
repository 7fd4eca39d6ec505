"""The training loop, on Lightning Fabric: the same lines on a CPU, CUDA or MPS, with or without AMP."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from lightning.fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from inkdot.config import Config, TrainingConfig
from inkdot.datasets.tile_set import TileSet
from inkdot.errors import UserError
from inkdot.model.network import TileNetwork
from inkdot.model.torch_backend import to_device
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout
from inkdot.training.distributed.process_group import check_same_on_all_ranks, company, summed
from inkdot.training.fit.checkpoint import (
    RunState,
    manual_seed,
    read_state,
    restore,
    restore_ema,
    write_checkpoint,
)
from inkdot.training.fit.ema import EMA
from inkdot.training.fit.epoch_metrics import Row, better, csv_text, epoch_row, line
from inkdot.training.fit.lr_schedule import learning_rate_at
from inkdot.training.fit.monitor import check_monitored
from inkdot.training.fit.objective import Objective, TileData, TileObjective
from inkdot.training.fit.tensorboard import write_events
from inkdot.training.fit.training_curves import curves_svg


@dataclass(frozen=True, slots=True)
class _Machine:
    """What an epoch is run with: the network and its optimiser as Fabric wraps them, and the running mean."""

    fabric: Fabric
    model: nn.Module
    optimizer: Optimizer
    network: nn.Module
    average: EMA
    settings: TrainingConfig
    steps: int


def fit(
    network: TileNetwork, data: TileData, config: Config, layout: RunLayout, console: Console
) -> RunState:
    """Train on labelled tiles, see :func:`learn`.

    Raises:
        UserError: As there, or the best epoch is to be kept by a metric that is undefined on the validation tiles.
    """
    if config.training.checkpoint == "best":
        check_monitored(data.validation.targets, data.validation.patients, config)
    return learn(network, TileObjective(data, config), config, layout, console)


def learn(
    network: nn.Module, lesson: Objective, config: Config, layout: RunLayout, console: Console
) -> RunState:
    """Train, writing metrics, curves and the checkpoints after each epoch; go on where an earlier run stopped.

    The network ends with the averaged weights of the epoch that ``training.checkpoint`` names, on the CPU. On a CPU, with the
    same number of threads, the same data and config give the same bytes, interrupted or not.

    Raises:
        UserError: The accelerator or precision is not to be had on this machine, its memory is too small for a batch, a
            batch is too small for batch normalisation, or the loss is no longer finite.
    """
    try:
        state = _learn(network, lesson, config, layout, console)
    except torch.OutOfMemoryError:
        raise UserError(_too_large(config.training, lesson.training)) from None
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(_too_few(config.training, lesson.training)) from None
    except Exception as error:
        # PyTorch's compiler fails at the first step, in many ways, and loading it only to name them takes seconds.
        if not (
            config.training.compile
            and type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
        ):
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"training.compile: expected a network that PyTorch can compile on this machine, found {reason}; set it to false"
        ) from None
    # Learning from slides is known with its best epoch only: nobody has measured the last one there.
    if config.training.checkpoint == "last" and isinstance(lesson, TileObjective):
        restore_ema(layout.last_checkpoint, network)
    else:
        restore(layout.best_checkpoint, network)
    network.cpu()
    return state


def _learn(
    network: nn.Module, lesson: Objective, config: Config, layout: RunLayout, console: Console
) -> RunState:
    settings = config.training
    fabric = _fabric(settings)
    to_device(network, fabric.device)
    optimizer = AdamW(_parameter_groups(network, settings.weight_decay), lr=settings.learning_rate)
    average = EMA(network, settings.ema_decay)
    state = _state_so_far(layout, lesson.identity)
    own = company()
    if state.epoch:
        restore(layout.last_checkpoint, network, optimizer, average.network)
        console.print(f"going on after epoch {state.epoch} of an earlier run with the same settings and data")
    elif layout.last_checkpoint.exists():
        console.print(
            "beginning anew: what is there is damaged, or of other settings, data or another Inkdot"
        )
    draws, tiles = lesson.draws, lesson.training
    labels = zlib.crc32(tiles.targets.tobytes())
    check_same_on_all_ranks(
        {"epochs done": state.epoch, "number of tiles": len(tiles), "labels (checksum)": labels}
    )
    compiled = cast(nn.Module, torch.compile(network)) if settings.compile else network
    model, wrapped = fabric.setup(compiled, optimizer)
    batches = fabric.setup_dataloaders(lesson.loader(settings.workers), use_distributed_sampler=False)
    machine = _Machine(
        fabric, model, cast(Optimizer, wrapped), network, average, settings, settings.epochs * len(draws)
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=machine.steps, completed=state.epoch * len(draws))
        for epoch in range(state.epoch, settings.epochs):
            if (
                settings.early_stopping_patience is not None
                and epoch - state.best_epoch >= settings.early_stopping_patience
            ):
                bar.console.print(f"stopped: no better since epoch {state.best_epoch}", highlight=False)
                break
            draws.epoch = epoch
            lesson.begin(average.network, fabric.device)
            manual_seed(settings.seed, epoch)
            model.train()
            if epoch < settings.freeze_epochs:
                _backbone(network).eval()  # its batch statistics stand still as well
            sums = _Sums()
            for step, batch in enumerate(cast("Iterable[object]", batches)):
                sums.add(_step(machine, lesson, batch, epoch * len(draws) + step))
                bar.update(task, advance=1, description=f"epoch {epoch + 1} of {settings.epochs}")
            rate = cast(float, wrapped.param_groups[0]["lr"])
            losses = _finite({n: float(summed(total)) / len(draws) for n, total in sums.tensors.items()})
            if own.first:
                judged = lesson.judge(average.network, fabric.device)
                row = epoch_row(epoch, rate, losses, judged, lesson.metrics_prefix)
                state = _record(state, row, lesson, machine, layout)
                bar.console.print(
                    line(row, settings.epochs, lesson.metrics_prefix), highlight=False, soft_wrap=True
                )
            fabric.barrier()
            if not own.first:
                state = _state_so_far(layout, lesson.identity)
    return state


def _step(machine: _Machine, lesson: Objective, batch: object, step: int) -> dict[str, Tensor]:
    """One step of the optimiser; the losses by head, the whole under the empty name."""
    fabric, settings = machine.fabric, machine.settings
    rate = learning_rate_at(step, machine.steps, settings)
    for group in machine.optimizer.param_groups:
        group["lr"] = rate
    machine.optimizer.zero_grad()
    losses = _Sums()
    for loss in lesson.losses(machine.model, batch, step % len(lesson.draws)):
        # Gradients are averaged over the processes, but each loss is a share of one sum.
        fabric.backward(loss.total * fabric.world_size)
        losses.add({"": loss.total, **loss.per_head})
    if step < settings.freeze_epochs * len(lesson.draws):
        # Without a gradient a weight is passed over: no step, no decay and no momentum for later. Gradients are made all the
        # same: processes that train together wait for each other's.
        for parameter in _backbone(machine.network).parameters():
            parameter.grad = None
    if settings.gradient_clip is not None:
        fabric.clip_gradients(machine.model, machine.optimizer, max_norm=settings.gradient_clip)
    machine.optimizer.step()
    machine.average.update(machine.network, step)
    return losses.tensors


def _backbone(network: nn.Module) -> nn.Module:
    return cast(nn.Module, network.backbone)


class _Sums:
    """Sums of losses, by name, without waiting for the device at every step."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def add(self, losses: Mapping[str, Tensor]) -> None:
        for name, loss in losses.items():
            self.tensors[name] = self.tensors.get(name, torch.zeros_like(loss)) + loss.detach()


def _finite(losses: dict[str, float]) -> dict[str, float]:
    if not all(math.isfinite(loss) for loss in losses.values()):
        raise UserError(
            "training: expected a finite loss, found it has become infinite or undefined; "
            "lower training.learning_rate, or use precision: 32-true"
        )
    return losses


def _too_large(settings: TrainingConfig, tiles: TileSet) -> str:
    side = tiles.tile(0).shape[0]
    if settings.tiles_at_once == 1:
        remedy = "choose a smaller model.backbone or tiling.side_px"
    else:
        remedy = (
            f"set training.gradient_accumulation to {settings.gradient_accumulation * 2} (the same steps in smaller parts), or "
            f"training.batch_size to {max(1, settings.batch_size // 2)}"
        )
    found = f"expected room for {settings.tiles_at_once} tiles of {side} px at a time, found the accelerator's memory full"
    return f"{found}; {remedy}"


def _too_few(settings: TrainingConfig, tiles: TileSet) -> str:
    return (
        f"expected two tiles or more at a time for a network with batch normalisation, found one of {tiles.tile(0).shape[0]} px, "
        f"too small to have statistics of its own; raise training.batch_size ({settings.batch_size}), or lower "
        f"training.gradient_accumulation ({settings.gradient_accumulation})"
    )


def _state_so_far(layout: RunLayout, identity: str) -> RunState:
    state = read_state(layout.last_checkpoint, identity)
    if state is None or read_state(layout.best_checkpoint, identity) is None:
        return RunState(identity)
    return state


def _fabric(settings: TrainingConfig) -> Fabric:
    try:
        own = company()
        fabric = Fabric(
            accelerator=settings.accelerator,
            devices=own.here,
            num_nodes=own.size // own.here,
            strategy="ddp" if own.size > 1 else "auto",
            precision=settings.precision,
        )
        fabric.launch()
    except (RuntimeError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"training.accelerator {settings.accelerator!r} with precision {settings.precision!r}: not to be had on this "
            f"machine ({reason}); use accelerator: auto and precision: 32-true"
        ) from None
    return fabric


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices and filters only: decaying biases and normalisation scales hurts."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _record(state: RunState, row: Row, lesson: Objective, machine: _Machine, layout: RunLayout) -> RunState:
    """Write what an epoch gave. ``last`` comes last: a kill before it repeats the epoch, to the same end."""
    state = replace(state, epoch=state.epoch + 1, history=(*state.history, row))
    averaged, best = machine.average.network, state.history[max(0, state.best_epoch - 1)]
    if not state.best_epoch or better(row, best, lesson.metrics_prefix, machine.settings.monitor):
        state = replace(state, best_epoch=state.epoch)
        write_checkpoint(layout.best_checkpoint, state, averaged)
    write_text(layout.metrics_csv, csv_text(state.history))
    write_events(layout.events, state.history, "epoch")
    write_text(layout.curves_svg, curves_svg(state.history, lesson.metrics_prefix, state.best_epoch))
    write_checkpoint(layout.last_checkpoint, state, machine.network, machine.optimizer, averaged)
    return state
