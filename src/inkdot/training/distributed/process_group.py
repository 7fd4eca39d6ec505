"""Processes that train one network together, started by ``torchrun``; most often there is one, and nothing is exchanged."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, NamedTuple, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from inkdot.errors import UserError

_PATIENCE: Final = timedelta(days=30)


class ProcessGroup(NamedTuple):
    """Which of how many processes this one is.

    Attributes:
        rank: From 0. The first writes files and speaks; the others only compute.
        size: How many there are.
        here: How many of them run on this machine.
    """

    rank: int
    size: int
    here: int

    @property
    def first(self) -> bool:
        """This is the process that writes files and speaks."""
        return self.rank == 0


def company() -> ProcessGroup:
    """As ``torchrun`` says in the environment; one alone without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    return ProcessGroup(
        int(os.environ.get("RANK", "0")), size, int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))
    )


@contextmanager
def together(accelerator: str) -> Generator[ProcessGroup]:
    """Join the other processes for as long as it lasts; alone there is nothing to join.

    They wait for the first one with patience: tiling and reading may take it days. A process that dies closes its
    connections, so nobody waits for it.

    Args:
        accelerator: What is trained on, as in ``training.accelerator``.

    Raises:
        UserError: Another process is gone.
    """
    own = company()
    if own.size == 1:
        yield own
        return
    cuda = accelerator != "cpu" and torch.cuda.is_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=_PATIENCE)
    try:
        yield own
    except RuntimeError as error:
        if not _lost(error):
            raise
        reason = " ".join(str(error).split())[:100]
        raise UserError(
            f"expected {own.size} processes to train together, found another one gone ({reason}); its own lines say why; "
            "start the same command again, and it goes on after the last epoch"
        ) from None
    finally:
        dist.destroy_process_group()


def _lost(error: RuntimeError) -> bool:
    """An exchange failed, as it does when another process is gone; gloo has no class of error of its own."""
    words = str(error).lower()
    return isinstance(error, dist.DistError) or "gloo" in words or "closed by peer" in words


def on_rank_zero(work: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What the first process finds by some work, which the others wait for and are told."""
    own = company()
    if own.size == 1:
        return work()
    text = json.dumps(work()).encode() if own.first else b""
    length = summed(torch.tensor([len(text)]))
    letters = torch.zeros(int(length), dtype=torch.uint8)
    if own.first:
        letters = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    dist.broadcast(letters, src=0)
    return cast("dict[str, str]", json.loads(letters.numpy().tobytes()))


def check_sharded(batch: int, parts: int = 1) -> None:
    """Refuse a batch of all tiles there are, fewer than ``training.batch_size``, that cannot be dealt out evenly.

    Args:
        batch: Rows of a batch of all processes.
        parts: In how many parts each process takes its share.

    Raises:
        UserError: It cannot.
    """
    size = company().size
    if size > 1 and batch % (size * parts):
        raise UserError(
            f"expected a multiple of {size * parts} tiles in a batch for {size} processes, each taking its share in parts of "
            f"{parts}, found {batch}, which are all there are; so few need one process: start `inkdot train` without torchrun"
        )


def check_same_on_all_ranks(found: Mapping[str, int]) -> None:
    """Refuse to go on where processes know different things: they would wait for each other for ever.

    Args:
        found: What each process must have found alike, by name.

    Raises:
        UserError: They did not; every process raises it.
    """
    if company().size == 1:
        return
    every = gathered(torch.tensor(list(found.values()))).T.tolist()
    for name, values in zip(found, every, strict=True):
        if len(set(values)) > 1:
            raise UserError(
                f"expected all processes to find the same {name}, found {', '.join(map(str, values))}; give them the same files, "
                "one --out that all can reach, and the same Inkdot"
            )


_Result = TypeVar("_Result")


def after_rank_zero(work: Callable[[], _Result]) -> _Result:
    """Some work that the first process does before the others, who then find on disk what it left there."""
    own = company()
    if not own.first:
        on_rank_zero(dict)
        return work()
    result = work()
    on_rank_zero(dict)
    return result


def summed(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all processes; itself where there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


def gathered(tensor: Tensor) -> Tensor:
    """The tensors of all processes, in their order, shape [processes, …]; each has one of the same shape."""
    if not (dist.is_available() and dist.is_initialized()):
        return tensor.unsqueeze(0)
    every = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(every, tensor)
    return torch.stack(every)
