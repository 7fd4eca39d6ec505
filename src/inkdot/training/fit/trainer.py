"""The training loop, on Lightning Fabric: the same lines on a CPU, CUDA or MPS, with or without AMP."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

import torch
from lightning.fabric import Fabric
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim import Optimizer

from inkdot.config import TrainingConfig
from inkdot.datasets.tile_set import TileSet
from inkdot.errors import UserError
from inkdot.model.runtimes.torch_backend import to_device
from inkdot.storage.atomic import write_text
from inkdot.storage.layout import RunLayout
from inkdot.training.distributed.fabric import check_same_on_all_ranks, with_sync_batch_norm
from inkdot.training.fit.checkpoint import (
    RunState,
    manual_seed,
    read_state,
    restore,
    restore_ema,
    write_checkpoint,
)
from inkdot.training.fit.ema import EMA
from inkdot.training.fit.epoch_metrics import Row, epoch_line, epoch_row, is_better, metrics_csv_text
from inkdot.training.fit.lr_schedule import learning_rate_at
from inkdot.training.fit.objective import Objective, TileObjective
from inkdot.training.fit.optimizer import OptimizerSettings, adamw, optimizer_settings, set_learning_rate
from inkdot.training.fit.tensorboard import row_writer
from inkdot.training.fit.training_curves import curves_svg
from inkdot.training.run_context import RunContext

_REDRAW_S: Final = 30.0
"""The training curves are drawn at the end, and at most this often before: drawing takes longer than a small epoch."""


@dataclass(frozen=True, slots=True)
class _Trainer:
    """What an epoch needs: the network and its optimiser, plain and as Fabric wraps them, and the EMA."""

    fabric: Fabric
    model: nn.Module
    optimizer: Optimizer
    network: nn.Module
    ema: EMA
    settings: TrainingConfig
    chosen: OptimizerSettings
    steps: int


def fit(network: nn.Module, objective: Objective, context: RunContext) -> RunState:
    """Train, writing metrics, curves and checkpoints after each epoch; resume where an earlier run stopped.

    The network ends with the EMA weights of the epoch that ``training.checkpoint`` names, on the CPU. On a CPU, the same
    number of threads and processes, the same data and config give the same bytes, interrupted or not.

    Raises:
        UserError: The accelerator's memory is too small for a batch, a batch is too small for batch normalisation, or the
            loss is no longer finite.
    """
    settings, layout = context.config.training, context.layout
    try:
        state = _fit(network, objective, context)
    except torch.OutOfMemoryError:
        raise UserError(_too_large(settings, objective.training)) from None
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(_too_few(settings, objective.training)) from None
    except Exception as error:
        # PyTorch's compiler fails at the first step, in many ways, and loading it only to name them takes seconds.
        if not (settings.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))):
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"training.compile: expected a network that PyTorch can compile on this machine, found {reason}; set it to false"
        ) from None
    # MIL always keeps its best epoch: how good the last one is there was never measured.
    if settings.checkpoint == "last" and isinstance(objective, TileObjective):
        restore_ema(layout.last_checkpoint, network)
    else:
        restore(layout.best_checkpoint, network)
    network.cpu()
    return state


def _fit(network: nn.Module, objective: Objective, context: RunContext) -> RunState:
    fabric, settings, layout = context.fabric, context.config.training, context.layout
    trained = with_sync_batch_norm(network, fabric)
    to_device(trained, fabric.device)
    chosen = optimizer_settings(context.config, _backbone(network))
    optimizer = adamw(trained, settings, chosen)
    ema = EMA(trained, settings.ema_decay)
    state = _resume(trained, optimizer, ema, objective, context)
    sampler = objective.sampler
    compiled = cast(nn.Module, torch.compile(trained)) if settings.compile else trained
    model, wrapped = fabric.setup(compiled, optimizer)
    loader = objective.loader(settings.workers)
    batches = cast("Iterable[object]", fabric.setup_dataloaders(loader, use_distributed_sampler=False))
    steps = settings.epochs * len(sampler)
    trainer = _Trainer(fabric, model, cast(Optimizer, wrapped), trained, ema, settings, chosen, steps)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    log = settings.tensorboard and fabric.is_global_zero
    with (
        Progress(*columns, console=context.console) as bar,
        row_writer(layout.tensorboard, state.epoch, enabled=log) as write_row,
    ):
        drawn = time.monotonic()
        task = bar.add_task("training", total=steps, completed=state.epoch * len(sampler))
        for epoch in range(state.epoch, settings.epochs):
            patience = settings.early_stopping_patience
            if patience is not None and epoch - state.best_epoch >= patience:
                bar.console.print(f"stopped: no better since epoch {state.best_epoch}", highlight=False)
                break
            bar.update(task, description=f"epoch {epoch + 1} of {settings.epochs}")
            losses = _run_epoch(trainer, objective, batches, epoch, lambda: bar.advance(task))
            if fabric.is_global_zero:
                rate = cast(float, wrapped.param_groups[0]["lr"])
                validation = objective.validate(ema.network, fabric.device)
                row = epoch_row(epoch, rate, losses, validation, objective.metrics_prefix)
                state = _record(state, row, objective, trainer, layout)
                write_row(row)
                if time.monotonic() - drawn > _REDRAW_S:
                    _draw(state, objective, layout)
                    drawn = time.monotonic()
                line = epoch_line(row, settings.epochs, objective.metrics_prefix)
                bar.console.print(line, highlight=False, soft_wrap=True)
            fabric.barrier()
            if not fabric.is_global_zero:
                # Statistics of batch normalisation may differ between processes: rank zero's are those that count.
                restore(layout.last_checkpoint, trained, ema=ema.network)
                state = _state_so_far(layout, objective.identity)
    if fabric.is_global_zero:
        _draw(state, objective, layout)
    return state


def _resume(
    network: nn.Module, optimizer: Optimizer, ema: EMA, objective: Objective, context: RunContext
) -> RunState:
    """Load the last checkpoint, where it belongs to this run."""
    layout, tiles = context.layout, objective.training
    state = _state_so_far(layout, objective.identity)
    if state.epoch:
        restore(layout.last_checkpoint, network, optimizer, ema.network)
        context.console.print(
            f"resuming after epoch {state.epoch} of an earlier run with the same settings and data"
        )
    elif layout.last_checkpoint.exists():
        context.console.print(
            "starting anew: the checkpoint is damaged, or of other settings, data or another Inkdot"
        )
    labels = zlib.crc32(tiles.targets.tobytes())
    check_same_on_all_ranks(
        context.fabric,
        {"epochs done": state.epoch, "number of tiles": len(tiles), "labels (checksum)": labels},
    )
    return state


def _run_epoch(
    trainer: _Trainer,
    objective: Objective,
    batches: Iterable[object],
    epoch: int,
    advance: Callable[[], None],
) -> dict[str, float]:
    """All steps of an epoch; mean losses by head, the whole under the empty name."""
    fabric, sampler = trainer.fabric, objective.sampler
    sampler.epoch = epoch
    objective.on_epoch_start(trainer.ema.network)
    manual_seed(trainer.settings.seed, epoch, fabric.global_rank)
    trainer.model.train()
    if epoch < trainer.settings.freeze_epochs:
        _backbone(trainer.network).eval()  # its batch statistics are frozen as well
    sums = _Sums()
    for step, batch in enumerate(batches):
        sums.add(_step(trainer, objective, batch, epoch * len(sampler) + step))
        advance()
    totals = cast("dict[str, Tensor]", fabric.all_reduce(sums.tensors, reduce_op="sum"))
    return _finite({name: float(total) / len(sampler) for name, total in totals.items()})


def _step(trainer: _Trainer, objective: Objective, batch: object, step: int) -> dict[str, Tensor]:
    """One step of the optimiser; this process's share of the losses by head, the whole under the empty name."""
    fabric, settings = trainer.fabric, trainer.settings
    rate = learning_rate_at(step, trainer.steps, trainer.chosen.learning_rate, settings.warmup_fraction)
    set_learning_rate(trainer.optimizer, rate)
    trainer.optimizer.zero_grad()
    losses = _Sums()
    for loss in objective.training_step(trainer.model, batch, step % len(objective.sampler)):
        # DistributedDataParallel averages gradients over the processes, but each loss is a share of one sum.
        fabric.backward(loss.total * fabric.world_size)
        losses.add({"": loss.total, **loss.per_head})
    if step < settings.freeze_epochs * len(objective.sampler):
        # Without a gradient AdamW skips a weight: no step, no decay and no momentum for later. Gradients are computed all the
        # same, since DistributedDataParallel waits for each of them.
        for parameter in _backbone(trainer.network).parameters():
            parameter.grad = None
    if clip := trainer.chosen.gradient_clip:
        fabric.clip_gradients(trainer.model, trainer.optimizer, max_norm=clip)
    trainer.optimizer.step()
    trainer.ema.update(trainer.network, step)
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


def _draw(state: RunState, objective: Objective, layout: RunLayout) -> None:
    svg = curves_svg(state.history, objective.metrics_prefix, state.best_epoch)
    write_text(layout.curves_svg, svg)


def _record(
    state: RunState, row: Row, objective: Objective, trainer: _Trainer, layout: RunLayout
) -> RunState:
    """Write the files of an epoch. ``last`` is written last: a run killed before repeats the epoch, to the same end."""
    state = replace(state, epoch=state.epoch + 1, history=(*state.history, row))
    ema, best = trainer.ema.network, state.history[max(0, state.best_epoch - 1)]
    prefix = objective.metrics_prefix
    if not state.best_epoch or is_better(row, best, prefix, trainer.settings.monitor):
        state = replace(state, best_epoch=state.epoch)
        write_checkpoint(layout.best_checkpoint, state, ema)
    write_text(layout.metrics_csv, metrics_csv_text(state.history))
    write_checkpoint(layout.last_checkpoint, state, trainer.network, trainer.optimizer, ema)
    return state
