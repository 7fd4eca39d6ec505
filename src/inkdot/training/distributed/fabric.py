"""Lightning Fabric for a training run: one process, or DistributedDataParallel in all that ``torchrun`` started."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import copy
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, TypeVar, cast

import torch
import torch.distributed as dist
from lightning.fabric import Fabric
from lightning.fabric.strategies.ddp import DDPStrategy
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn

from inkdot.config import TrainingConfig
from inkdot.errors import UserError

_TIMEOUT: Final = timedelta(days=30)
"""The other processes wait for rank zero while it tiles and reads slides, which may take days."""


def global_rank() -> int:
    """Rank of this process, as ``torchrun`` set it; 0 without it. Known before Fabric is launched."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes, as ``torchrun`` set it; 1 without it. Known before Fabric is launched."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def launched_fabric(settings: TrainingConfig) -> Generator[Fabric]:
    """Launch Fabric, and leave the process group at the end.

    Raises:
        UserError: The machine lacks the accelerator or the precision, or another process ended.
    """
    fabric = _launch(settings)
    try:
        yield fabric
    except RuntimeError as error:
        if not _lost_connection(error):
            raise
        raise UserError(
            f"expected {fabric.world_size} training processes, found that another one ended ({_one_line(error, 100)}); its own "
            "lines give the reason; start the same command again to resume after the last epoch"
        ) from None
    finally:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()


def _launch(settings: TrainingConfig) -> Fabric:
    size = world_size()
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))
    try:
        fabric = Fabric(
            accelerator=settings.accelerator,
            devices=local_size,
            num_nodes=size // local_size,
            strategy=DDPStrategy(timeout=_TIMEOUT) if size > 1 else "auto",
            precision=settings.precision,
        )
        fabric.launch()
    except (RuntimeError, ValueError, ImportError) as error:
        raise UserError(
            f"training.accelerator {settings.accelerator!r} with precision {settings.precision!r}: not available on this "
            f"machine ({_one_line(error, 200)}); use accelerator: auto and precision: 32-true"
        ) from None
    return fabric


def _lost_connection(error: RuntimeError) -> bool:
    """Whether a collective failed, as it does when another process ended; gloo has no class of error of its own."""
    words = str(error).lower()
    return isinstance(error, dist.DistError) or "gloo" in words or "closed by peer" in words


def _one_line(error: Exception, length: int) -> str:
    return " ".join(str(error).split())[:length]


def check_same_on_all_ranks(fabric: Fabric, values: Mapping[str, int]) -> None:
    """Refuse to continue where processes found different values: they would wait for each other for ever.

    Args:
        fabric: The processes.
        values: What each process must have found alike, by name.

    Raises:
        UserError: They differ; every process raises it.
    """
    by_rank = torch.zeros(fabric.world_size, len(values), dtype=torch.int64)
    by_rank[fabric.global_rank] = torch.tensor(list(values.values()))
    by_name = cast(torch.Tensor, fabric.all_reduce(by_rank, reduce_op="sum")).T.tolist()
    for name, found in zip(values, by_name, strict=True):
        if len(set(found)) > 1:
            raise UserError(
                f"expected all processes to find the same {name}, found {', '.join(map(str, found))}; give them the same files, "
                "one --out that all can reach, and the same Inkdot"
            )


_Network = TypeVar("_Network", bound=nn.Module)


def with_sync_batch_norm(network: _Network, fabric: Fabric) -> _Network:
    """A copy with synchronised batch normalisation where several processes train on CUDA, else the network itself.

    timm's conversion calls ``torch.nn.SyncBatchNorm``; PyTorch's own would drop the activations in timm's layers.
    """
    if fabric.world_size == 1 or fabric.device.type != "cuda":
        return network
    return cast(_Network, convert_sync_batchnorm(copy.deepcopy(network)))


def batch_norm_note(network: nn.Module, fabric: Fabric) -> list[str]:
    """A line for the terminal and the model card where batch normalisation is not synchronised."""
    synchronised = fabric.world_size == 1 or fabric.device.type == "cuda"
    if synchronised or not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in network.modules()):
        return []
    return [
        f"Batch normalisation: each of {fabric.world_size} processes used the statistics of its own share of a batch "
        "(synchronised on CUDA only), so the model differs from one trained in a single process."
    ]
